"""Converts ``answer=`` to a question of HITL.sh, and responses to their Python types."""

from collections.abc import Callable
from enum import Enum
from typing import Any, Generic, TypeAlias, TypeVar, cast

import msgspec

from hitlsh.api.errors import ArgumentInvalid
from hitlsh.api.questions.builders import Option, Question, boolean, single_select
from hitlsh.asking_client.client_errors import AnswerUnexpected
from hitlsh.canonical_answers import canonical_answer
from hitlsh.request_details import RequestDetails

Response = TypeVar("Response")

#: Values of ``answer=``: ``bool``, an Enum class, or a question of a builder such as ``single_select``.
AnswerType: TypeAlias = type[Response] | Question[Response]

#: Python types of the answers to each response type.
_TYPES: dict[str, tuple[type, ...]] = {
    "single_select": (str,),
    "multi_select": (list,),
    "rating": (int, float),
    "number": (int, float),
    "text": (str,),
    "editable_text": (str,),
    "boolean": (bool,),
}


class AnswerFormat(msgspec.Struct, Generic[Response], frozen=True, kw_only=True):
    """A question, and the conversion of its responses to Python values and back."""

    question: Question[Any]
    #: The Enum class whose members are the options; None for other questions.
    members: type[Enum] | None = None

    def read(self, response: Any) -> Response:
        """The response as a Python value; raises `AnswerUnexpected` for an answer that the question does not offer."""
        details = RequestDetails(
            response_type=self.question.response_type, response_config=self.question.response_config
        )
        answer = canonical_answer(response, (), details)
        if not answer.is_offered or not self._is_typed(answer.value):
            raise AnswerUnexpected(response, self.question.response_type)
        if self.members is None:
            return cast("Response", answer.value)
        return cast("Response", _members_by_option(self.members)[answer.value])

    def default(self, value: Any) -> Any:
        """The default in the form of HITL.sh's API; raises `ArgumentInvalid` if it does not fit the question."""
        if self.members is not None and isinstance(value, self.members):
            value = next(option for option, member in _members_by_option(self.members).items() if member is value)
        return self.question.default(value)

    def _is_typed(self, value: Any) -> bool:
        if not isinstance(value, _TYPES[self.question.response_type]):
            return False
        is_whole = self.question.response_config.get("decimal_places") == 0
        is_number = self.question.response_type in ("rating", "number")
        return not (is_number and (isinstance(value, bool) or (is_whole and not isinstance(value, int))))


def answer_format(answer: AnswerType[Response]) -> AnswerFormat[Response]:
    """The format for a value of ``answer=``; raises `ArgumentInvalid` for an invalid one."""
    if isinstance(answer, Question):
        return AnswerFormat(question=answer)
    if answer is bool:
        return AnswerFormat(question=boolean())
    kind: Any = answer
    if isinstance(kind, type) and issubclass(kind, Enum) and len(kind) > 0:
        return AnswerFormat(question=single_select(*_options(kind)), members=kind)
    raise ArgumentInvalid(
        "answer", f"is {answer!r}: give bool, an Enum class with members, or a question such as single_select('A', 'B')"
    )


def _options(members: type[Enum]) -> list[str | Option]:
    if _has_texts(members):
        return [member.value for member in members]
    return [Option(value=member.name, label=member.name.replace("_", " ").capitalize()) for member in members]


def _members_by_option(members: type[Enum]) -> dict[str, Enum]:
    name: Callable[[Enum], str] = (lambda member: member.value) if _has_texts(members) else (lambda member: member.name)
    return {name(member): member for member in members}


def _has_texts(members: type[Enum]) -> bool:
    return all(isinstance(member.value, str) for member in members)
