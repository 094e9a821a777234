"""The options that describe a question, shared by `ask` and `api ask`."""

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
from service.cli.api.printing import print_resource
from service.cli.options import NameChoice, parse_json

Result = TypeVar("Result")

#: The exit status of ``--wait`` when nobody answered: not to be mistaken for a decision.
NO_ANSWER = 3

_TYPES = ("single_select", "multi_select", "boolean", "rating", "number", "text", "editable_text")


class QuestionOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The values of the options, by their names in Python."""

    loop: str
    text: str
    response_type: str
    options: tuple[str, ...]
    minimum: float
    maximum: float
    draft: str
    defaults: tuple[str, ...]
    timeout: int | None
    priority: Priority
    context: str | None
    images: tuple[str, ...]
    callback_url: str | None

    def create_request(self, client: Client, loop_id: str, callback_url: str | None) -> CreatedRequest:
        """Ask the reviewers of this loop."""
        return client.requests.create(
            loop_id,
            self.text,
            self.question(),
            default_response=self.default_response(),
            priority=self.priority,
            content=image(*self.images) if self.images else MARKDOWN,
            context=parse_json(self.context, "--context"),
            timeout_seconds=self.timeout,
            callback_url=callback_url,
        )

    def question(self) -> Question:
        """The response type of the question, with its options or limits."""
        match self.response_type:
            case "single_select":
                return single_select(*self.options)
            case "multi_select":
                return multi_select(*self.options)
            case "rating":
                return rating(*self._range())
            case "number":
                return number(*self._range())
            case "boolean":
                if len(self.options) not in (0, 2):
                    raise click.UsageError(
                        "A boolean question takes --option twice, for yes and for no, or not at all."
                    )
                return boolean(*self.options)
            case "text":
                return text()
            case _:
                return editable_text(self.draft)

    def _range(self) -> tuple[float, float]:
        if not self.minimum < self.maximum:
            raise click.UsageError(
                f"--min is {self.minimum:g} and --max is {self.maximum:g}: --min must be the smaller."
            )
        return _whole_if_possible(self.minimum), _whole_if_possible(self.maximum)

    def default_response(self) -> Any:
        """The default as the response type needs it. The client refuses what does not fit."""
        if self.response_type == "multi_select":
            return [option for option in self.defaults if option]
        if self.response_type not in ("rating", "number"):
            return self.defaults[-1]
        try:
            return json.loads(self.defaults[-1])
        except ValueError:
            return self.defaults[-1]


_OPTIONS = (
    click.option("--loop", required=True, help="Id of the loop; `hitl-receiver ask` accepts its name too."),
    click.option("--text", required=True, help="The question. May contain Markdown."),
    click.option(
        "--type", "response_type", default="single_select", show_default=True, type=NameChoice(_TYPES),
        help="Type of the response.",
    ),
    click.option("--option", "options", multiple=True, help="An option of a select question. Repeatable."),
    click.option(
        "--min", "minimum", type=float, default=1, show_default=True, help="Minimum of a rating or number question."
    ),
    click.option(
        "--max", "maximum", type=float, default=5, show_default=True, help="Maximum of a rating or number question."
    ),
    click.option("--draft", default="", help="Draft text of an editable_text question."),
    click.option(
        "--default", "defaults", multiple=True, required=True,
        help="Default response, used when nobody answers. Repeatable for multi_select.",
    ),
    click.option("--timeout", type=int, help="Seconds, 60 to 86400. Without it, 30 days."),
    click.option("--priority", default="medium", show_default=True, type=NameChoice(PRIORITIES)),
    click.option("--context", metavar="JSON", help="A JSON object with details, shown to the reviewer."),
    click.option("--image", "images", metavar="URL", multiple=True, help="An image to show. Repeatable."),
    click.option("--callback-url", help="Where HITL.sh posts the outcome."),
)  # fmt: skip


def question_options(command: Callable[..., Result]) -> Callable[..., Result]:
    """Add the options of a question, which the command gets as one `QuestionOptions`."""

    @wraps(command)
    def with_question(**values: Any) -> Result:
        question = QuestionOptions(**{name: values.pop(name) for name in QuestionOptions.__struct_fields__})
        return command(question, **values)

    for option in reversed(_OPTIONS):
        with_question = option(with_question)
    return with_question


def show_created(created: CreatedRequest, json_wanted: bool) -> None:
    """Print a request that was just created."""
    rows = [(created.request_id, created.status, created.timeout_at, created.polling_url)]
    print_resource(created, ("ID", "STATUS", "TIMES OUT", "POLL"), rows, json_wanted)


def _whole_if_possible(value: float) -> float:
    """1 rather than 1.0, as in HITL.sh's own examples."""
    return int(value) if value.is_integer() else value
