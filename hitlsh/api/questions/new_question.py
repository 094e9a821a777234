"""A question to ask: the body of ``POST /requests``, and what `AskingService.submit` takes."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import msgspec

from hitlsh.api.errors import ArgumentInvalid
from hitlsh.api.operations import encode_value
from hitlsh.api.questions.builders import Question
from hitlsh.api.questions.content import MARKDOWN, Content, image
from hitlsh.api.questions.limits import check_integer, check_length, check_one_of, check_url
from hitlsh.api.questions.question_types import read_question
from hitlsh.api.questions.request_body import PRIORITIES, Priority, check_context, check_text
from hitlsh.asking.ask_errors import FieldProblem, QuestionInvalid
from hitlsh.callbacks import StateInvalid, check_state
from hitlsh.events import Trust
from hitlsh.webhooks.json_structure import DEEPEST, nests_within

WhenLimited = Literal["queue", "refuse"]

#: Characters of a key.
LONGEST_KEY = 200
#: Loops that may be asked after the first.
MAX_ESCALATIONS = 5
#: Bytes of a question as JSON.
LARGEST_QUESTION = 65_536
#: Levels of nesting of a value: a delivery that repeats it, some levels deeper, must be readable.
_DEEPEST_VALUE = DEEPEST // 2
_SHORTEST_TIMEOUT, _LONGEST_TIMEOUT = 60, 86_400
#: Say how to ask, not what: two questions that differ in these alone are the same.
_NOT_COMPARED = frozenset({"key", "when_limited"})


class Escalation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A loop that is asked when the one before it has timed out."""

    #: Id or name.
    loop: str
    timeout_seconds: int


class NewQuestion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A question, in the shapes of HITL.sh's API (https://docs.hitl.sh, "Create request")."""

    #: 1 to 2,000 characters, may contain Markdown.
    text: str
    #: Id or name; a name costs a call now and then.
    loop: str
    response_type: str
    response_config: dict[str, Any] = {}
    #: What HITL.sh assumes when nobody answers.
    default_response: Any = None
    #: 60 to 86400; None for 30 days.
    timeout_seconds: int | None = None
    priority: Priority = "medium"
    #: A JSON object, shown to the reviewer.
    context: dict[str, Any] | None = None
    image_url: str | None = None
    #: JSON that comes back as ``decision.state``; at most 2,048 bytes.
    state: Any = None
    #: Asked again with the same key, the question is not asked twice.
    key: str | None = None
    #: When the calls of the hour are used up: ask it once they return, or refuse it.
    when_limited: WhenLimited = "queue"
    escalate_to: tuple[Escalation, ...] = ()
    #: The least trust that its outcome must have.
    trust: Trust = "callback"

    @property
    def steps(self) -> tuple[tuple[str, int | None], ...]:
        """Loop and timeout in seconds of each step, in order."""
        return (self.loop, self.timeout_seconds), *((each.loop, each.timeout_seconds) for each in self.escalate_to)

    @property
    def content(self) -> Content:
        """What is shown beside the text."""
        return MARKDOWN if self.image_url is None else image(self.image_url)

    def question(self) -> Question:
        """How it can be answered; raises ArgumentInvalid."""
        return read_question(self.response_type, self.response_config)

    def check(self) -> None:
        """Raises `QuestionInvalid` with every problem at once."""
        problems = list(_problems(self))
        if problems:
            raise QuestionInvalid(problems)


def decode_question(body: bytes | str) -> NewQuestion:
    """The question of a JSON object, checked; raises `QuestionInvalid` with every problem that can be told."""
    try:
        question = msgspec.json.decode(body, type=NewQuestion)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$.")
        raise QuestionInvalid([FieldProblem(field=path.rstrip("`"), problem=message)]) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise QuestionInvalid([FieldProblem(field="", problem="is not JSON: send one JSON object")]) from None
    question.check()
    return question


def encode_question(question: NewQuestion) -> bytes:
    """The question as a JSON object, without what has its default."""
    fields = msgspec.to_builtins(question)
    defaults = {"priority": "medium", "when_limited": "queue", "trust": "callback"}
    kept = {name: value for name, value in fields.items() if value is not None and value != defaults.get(name)}
    for name in ("response_config", "escalate_to"):
        if not kept.get(name):
            kept.pop(name, None)
    return msgspec.json.encode(kept)


def differing_fields(one: NewQuestion, other: NewQuestion) -> list[str]:
    """Names of the fields in which two questions differ, sorted; without those that only say how to ask."""
    first, second = (msgspec.json.decode(msgspec.json.encode(each)) for each in (one, other))
    return sorted(name for name in first if name not in _NOT_COMPARED and not _is_equal(first[name], second[name]))


def _is_equal(one: Any, other: Any) -> bool:
    # As JSON: True is not 1.
    encoder = msgspec.json.Encoder(order="sorted")
    return encoder.encode(one) == encoder.encode(other)


def _problems(question: NewQuestion) -> list[FieldProblem]:
    problems: list[FieldProblem] = []

    def check(check: Callable[[], object], name: str | None = None) -> None:
        try:
            check()
        except ArgumentInvalid as error:
            problems.append(FieldProblem(field=name or _field(error.field), problem=error.problem))

    check(lambda: check_text(question.text), "text")
    check(lambda: check_length("text", question.text, 0, 10_000), "text")
    for number, (loop, seconds) in enumerate(question.steps):
        place = "" if number == 0 else f"escalate_to[{number - 1}]."
        check(lambda loop=loop: check_length("loop", loop, 1, 200), f"{place}loop")  # type: ignore[misc]
        is_last = number == len(question.steps) - 1
        if seconds is not None:
            check(
                lambda seconds=seconds: check_integer(  # type: ignore[misc]
                    "timeout_seconds", seconds, _SHORTEST_TIMEOUT, _LONGEST_TIMEOUT
                ),
                f"{place}timeout_seconds",
            )
        elif not is_last:
            problems.append(
                FieldProblem(
                    field=f"{place}timeout_seconds",
                    problem="is missing: the next loop is asked when this one times out, so give 60 to 86400",
                )
            )
    if len(question.escalate_to) > MAX_ESCALATIONS:
        problems.append(
            FieldProblem(
                field="escalate_to", problem=f"has {len(question.escalate_to)} loops: give at most {MAX_ESCALATIONS}"
            )
        )
    try:
        answerable = question.question()
    except ArgumentInvalid as error:
        problems.append(FieldProblem(field=_field(error.field), problem=error.problem))
    else:
        check(lambda: answerable.default(question.default_response))
    check(lambda: check_one_of("priority", question.priority, PRIORITIES))
    check(lambda: check_one_of("trust", question.trust, get_args(Trust)))
    check(lambda: check_one_of("when_limited", question.when_limited, get_args(WhenLimited)))
    check(lambda: check_context(question.context))
    if question.image_url is not None:
        check(lambda: check_url("image_url", question.image_url))
    if question.key is not None:
        check(lambda: check_length("key", question.key, 1, LONGEST_KEY))
    problems += _size_problems(question)
    return problems


def _size_problems(question: NewQuestion) -> list[FieldProblem]:
    problems = []
    try:
        check_state(question.state)
    except StateInvalid as error:
        problems.append(FieldProblem(field="state", problem=error.problem))
    try:
        for name in ("context", "default_response", "response_config"):
            _check_value(name, getattr(question, name))
        whole = msgspec.json.encode(question)
    except ArgumentInvalid as error:
        return [*problems, FieldProblem(field=_field(error.field), problem=error.problem)]
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError):
        return problems or [FieldProblem(field="", problem="holds something that JSON cannot hold")]
    if len(whole) > LARGEST_QUESTION:
        problems.append(
            FieldProblem(
                field="", problem=f"is {len(whole)} bytes as JSON and may be {LARGEST_QUESTION}: shorten the context"
            )
        )
    return problems


def _check_value(name: str, value: Any) -> None:
    """Raises ArgumentInvalid for a value that JSON cannot hold, or that nests too deeply."""
    encode_value(name, value)
    if not nests_within(value, _DEEPEST_VALUE):
        raise ArgumentInvalid(name, f"has more than {_DEEPEST_VALUE} levels of lists and objects: flatten it")


#: Fields of the API by the names that a question gives them.
_NAMES: Mapping[str, str] = {"request_text": "text"}


def _field(name: str | None) -> str:
    """The question's name for a field of HITL.sh's API; what belongs to a response configuration is told as that."""
    if name is None:
        return ""
    if name in NewQuestion.__struct_fields__:
        return name
    return _NAMES.get(name, f"response_config.{name}")
