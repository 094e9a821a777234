"""300 questions, by dice: who asks them, how they end, and what a handler must then be told."""

import random
from typing import Any, Literal

import msgspec

from hitlsh.api import Client, boolean, multi_select, number, single_select, text
from hitlsh.api.questions.builders import Question
from hitlsh.events import Outcome, Source
from workers.asking import callback_url
from workers.settings import Settings

#: Each with its default and what people answer.
QUESTIONS: list[tuple[Question, Any, list[Any]]] = [
    (boolean(), False, [True, False]),
    (number(0, 100, decimal_places=1), 50, [0, 7, 12.5]),
    (text(), "nothing", ["", "Looks fine"]),
    (single_select("Approve", "Reject", "Ask the author"), "Reject", ["Approve", "Ask the author"]),
    (multi_select("stock", "price", "photo", min_selections=0), ["stock"], [[], ["price"], ["price", "photo"]]),
]
#: With a callback URL of ours; through us without one; by somebody else with the same key.
Way = Literal["called back", "known", "elsewhere"]
WAYS: dict[Way, float] = {"called back": 0.8, "known": 0.1, "elsewhere": 0.1}
#: None: it stays open.
ENDS: dict[Outcome | None, float] = {"completed": 0.74, "timeout": 0.1, "cancelled": 0.08, None: 0.08}
SOURCES: dict[Outcome, Source] = {"completed": "human", "timeout": "vendor_default", "cancelled": "cancelled"}
#: Seconds; the shortest that HITL.sh takes.
TIMEOUT = 60


class NewRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request, and how it is to end."""

    request: str
    way: Way
    state: Any
    end: Outcome | None
    #: None unless a person answers.
    response: Any

    @property
    def event(self) -> str:
        return f"request.{self.end}:{self.request}"

    @property
    def told(self) -> tuple[Any, ...]:
        """Request, outcome, response with its type, source, state: what every handler must see."""
        assert self.end is not None
        return self.request, self.end, repr(self.response), SOURCES[self.end], repr(self.state)

    @property
    def handlers(self) -> list[str]:
        """What the router of tests.processes.reconcile_handlers promises, said again without it."""
        if self.end is None:
            return []
        if self.end != "completed":
            return ["note"]
        return ["book", "note", "pay"] if self.response is True else ["book", "note"]


class Asker:
    """Asks one after another; `ours`: a client with ledger and budget, `others`: one without."""

    def __init__(self, ours: Client, others: Client, settings: Settings, loop: str, dice: random.Random) -> None:
        self._ours, self._others = ours, others
        self._settings, self._loop, self._dice = settings, loop, dice
        self._number = 0

    def ask(self) -> NewRequest:
        self._number += 1
        way, end = _drawn(self._dice, WAYS), _drawn(self._dice, ENDS)
        question, default, answers = self._dice.choice(QUESTIONS)
        state = {"order": self._number} if way == "called back" else None
        created = (self._others if way == "elsewhere" else self._ours).requests.create(
            self._loop,
            f"Question {self._number}",
            question,
            default_response=default,
            timeout_seconds=TIMEOUT if end == "timeout" else 3_600,
            callback_url=callback_url(self._settings, state) if way == "called back" else None,
        )
        response = self._dice.choice(answers) if end == "completed" else None
        return NewRequest(request=created.request_id, way=way, state=state, end=end, response=response)


def _drawn(dice: random.Random, shares: dict[Any, float]) -> Any:
    return dice.choices(list(shares), list(shares.values()))[0]
