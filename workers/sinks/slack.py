"""A Slack channel (https://api.slack.com/messaging/webhooks), or another service that takes the same JSON."""

import msgspec

from workers.decision import Decision
from workers.sinks.hook import TIMEOUT, Hook
from workers.sinks.hook_url import HookUrl
from workers.sinks.message import Message
from workers.sinks.template import Template


class Slack:
    """Posts one line of text for each decision to an incoming webhook.

    `text`: a template such as ``"{reviewer}: {response} for invoice {state.invoice}"``. A field is a key of
    the JSON that sinks send (docs/decision.schema.json), with dots for nested keys. Values are escaped, so that none
    can mention a channel or look like a link. Raises `RouteInvalid` for invalid arguments.
    """

    def __init__(self, url: str, text: str, *, timeout: float = TIMEOUT) -> None:
        self._url = HookUrl(url, sink="Slack")
        self._text = Template(text)
        self._hook = Hook(self._url, sink="Slack", timeout=timeout)

    @property
    def name(self) -> str:
        """The default name of its route."""
        return "slack"

    @property
    def address(self) -> tuple[str, int]:
        """The host and the port that it posts to."""
        return self._url.address

    def __repr__(self) -> str:
        return f"<Slack {self._url.host}>"

    async def send(self, decision: Decision) -> None:
        """Post the text; raises `NotDelivered`, `RetryLater` or `GiveUp`, depending on Slack's answer."""
        text = self._text.fill(Message.of(decision, target=self._url.digest))
        await self._hook.post(msgspec.json.encode({"text": text}), {"Content-Type": "application/json"})
