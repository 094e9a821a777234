"""What is asked of people, as both `ask` commands are told on the command line."""

import json
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click
import msgspec

from hitlsh.api import Client, Question, boolean, editable_text, multi_select, number, rating, single_select, text
from hitlsh.api.models.requests import CreatedRequest
from hitlsh.api.questions.content import MARKDOWN, image
from hitlsh.api.questions.request_body import PRIORITIES, Priority
from service.cli.api.tables import show
from service.cli.json_option import parse_json

Result = TypeVar("Result")

#: The exit status of ``--wait`` when nobody answered: never to be taken for a decision.
NO_ANSWER = 3

_TYPES = ("single_select", "multi_select", "boolean", "rating", "number", "text", "editable_text")


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a question, by their names in Python."""

    loop: str
    words: str
    kind: str
    options: tuple[str, ...]
    low: float
    high: float
    draft: str
    defaults: tuple[str, ...]
    timeout: int | None
    priority: Priority
    context: str | None
    images: tuple[str, ...]
    callback_url: str | None

    def put(self, client: Client, loop_id: str, callback_url: str | None) -> CreatedRequest:
        """Ask the people of this loop."""
        return client.requests.create(
            loop_id,
            self.words,
            self._question(),
            default_response=self._default(),
            priority=self.priority,
            content=image(*self.images) if self.images else MARKDOWN,
            context=parse_json(self.context, "--context"),
            timeout_seconds=self.timeout,
            callback_url=callback_url,
        )

    def _question(self) -> Question:
        if self.kind in ("single_select", "multi_select"):
            return (single_select if self.kind == "single_select" else multi_select)(*self.options)
        if self.kind in ("rating", "number"):
            if not self.low < self.high:
                raise click.UsageError(f"--min is {self.low:g} and --max is {self.high:g}: --min must be the smaller.")
            return (rating if self.kind == "rating" else number)(_tidy(self.low), _tidy(self.high))
        if self.kind == "boolean":
            if len(self.options) not in (0, 2):
                raise click.UsageError("A boolean question takes --option twice, for yes and for no, or not at all.")
            return boolean(*self.options)
        return text() if self.kind == "text" else editable_text(self.draft)

    def _default(self) -> Any:
        """The words of the command line as the type wants them; what does not fit is refused when asking."""
        if self.kind == "multi_select":
            return [words for words in self.defaults if words]
        if self.kind not in ("rating", "number"):
            return self.defaults[-1]
        try:
            return json.loads(self.defaults[-1])
        except ValueError:
            return self.defaults[-1]


_OPTIONS = (
    click.option("--loop", required=True, help="Id of the loop; `ask` accepts its name too."),
    click.option("--text", "words", required=True, help="The question. May contain Markdown."),
    click.option("--type", "kind", default="single_select", show_default=True, type=click.Choice(_TYPES)),
    click.option("--option", "options", multiple=True, help="An option of a select question. Repeatable."),
    click.option(
        "--min", "low", type=float, default=1, show_default=True, help="Limit of a rating or number question."
    ),
    click.option(
        "--max", "high", type=float, default=5, show_default=True, help="Limit of a rating or number question."
    ),
    click.option("--draft", default="", help="Draft text of an editable_text question."),
    click.option(
        "--default", "defaults", multiple=True, required=True, help="Default response, used when nobody answers."
    ),
    click.option("--timeout", type=int, help="Seconds, 60 to 86400. Without it, 30 days."),
    click.option("--priority", default="medium", show_default=True, type=click.Choice(PRIORITIES)),
    click.option("--context", metavar="JSON", help="A JSON object with details, shown to the reviewer."),
    click.option("--image", "images", metavar="URL", multiple=True, help="An image to show. Repeatable."),
    click.option("--callback-url", help="Where HITL.sh posts the outcome."),
)


def asking(command: Callable[..., Result]) -> Callable[..., Result]:
    """Adds the options of a question, which reach the command as one `Asking`."""

    @wraps(command)
    def gathered(**given: Any) -> Result:
        asked = Asking(**{name: given.pop(name) for name in Asking.__struct_fields__})
        return command(asked, **given)

    for option in reversed(_OPTIONS):
        gathered = option(gathered)
    return gathered


def show_created(created: CreatedRequest, json_wanted: bool) -> None:
    """The request, without waiting for what becomes of it."""
    rows = [(created.request_id, created.status, created.timeout_at, created.polling_url)]
    show(created, ("ID", "STATUS", "TIMES OUT", "POLL"), rows, json_wanted)


def _tidy(value: float) -> float:
    """1 rather than 1.0, as HITL.sh's own examples have it."""
    return int(value) if value.is_integer() else value
