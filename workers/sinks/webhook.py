"""A webhook of another system: n8n, Zapier, Make, or a service of your own."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from workers.decision import Decision
from workers.errors import RouteInvalid
from workers.sinks.hook import TIMEOUT, Hook
from workers.sinks.hook_url import HookUrl
from workers.sinks.message import Message
from workers.sinks.signing import Signer, scheme_headers

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
#: Headers that the sink or HTTP itself sets.
_RESERVED = {"content-type", "content-length", "transfer-encoding", "connection", "host", "accept-encoding"}
_RESERVED |= {"traceparent"}


class Webhook:
    """Posts each decision as JSON (docs/decision.schema.json), signed if a secret is given.

    `secret`: ``whsec_…`` by the Standard Webhooks scheme; several during a rotation. ``webhook-id``
    is the same on every attempt: a receiver deduplicates by it. `headers`: additional ones, such as an API key.
    `timeout`: seconds for the whole exchange; the route's own `timeout` (60 s by default) should be longer.
    Raises `RouteInvalid` for invalid arguments.
    """

    def __init__(
        self,
        url: str,
        secret: str | Sequence[str] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        timeout: float = TIMEOUT,
    ) -> None:
        self._url = HookUrl(url, sink="Webhook")
        self._signer = None if secret is None else Signer(secret, sink="Webhook")
        self._headers = _checked({} if headers is None else headers)
        self._hook = Hook(self._url, sink="Webhook", timeout=timeout)

    @property
    def name(self) -> str:
        """The default name of its route."""
        return f"webhook-{self._url.host}"

    @property
    def address(self) -> tuple[str, int]:
        """The host and the port that it posts to."""
        return self._url.address

    def __repr__(self) -> str:
        return f"<Webhook {self._url.host}, {'unsigned' if self._signer is None else 'signed'}>"

    async def send(self, decision: Decision) -> None:
        """Post the decision; raises `NotDelivered`, `RetryLater` or `GiveUp`, depending on the target's answer."""
        message = Message.of(decision, target=self._url.digest)
        body = message.body
        signature_headers = scheme_headers(message.id, datetime.now(UTC), body, self._signer)
        await self._hook.post(body, {**self._headers, **signature_headers, "Content-Type": "application/json"})


def _checked(headers: Any) -> dict[str, str]:
    if not isinstance(headers, Mapping):
        raise RouteInvalid("Webhook(headers=...): give a mapping, such as {'Authorization': 'Bearer …'}")
    for name, value in headers.items():
        if not isinstance(name, str) or not _HEADER.fullmatch(name):
            raise RouteInvalid(f"Webhook(headers=...): {name!r} is no name of a header")
        if name.lower() in _RESERVED or name.lower().startswith("webhook-"):
            raise RouteInvalid(f"Webhook(headers=...): {name} is set by the sink itself; leave it out")
        # Its value may be a password: it is not repeated here.
        if not isinstance(value, str) or not value.isascii() or not value.isprintable():
            raise RouteInvalid(f"Webhook(headers=...): the value of {name} must be text in printable ASCII")
    return dict(headers)
