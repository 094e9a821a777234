import asyncio
import functools
import inspect
import re
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitlsh.events import LoopMember, RefundInfo, Reviewer
from workers.decision import Decision
from workers.errors import RouteInvalid
from workers.routing.conditions import between
from workers.routing.router import Router
from workers.testing import cancelled, claimed, completed, decision, timed_out

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
WORDS = st.sampled_from(["Approve", "approve", "Approve it", "approve_it", "", "?", "no"])


def handler(made: Decision) -> None:
    """What a user writes."""


async def async_handler(made: Decision) -> None:
    """What a user writes, async."""


def names(router: Router, made: Decision) -> list[str]:
    return [route.name for route in router.match(made)]


def wants(made: Decision, *events: str, **options: Any) -> bool:
    router = Router()
    router.on(*(events or ("*",)), **options)(handler)
    return router.match(made) != ()


def boom(value: Any) -> bool:
    raise LookupError("boom")


# -- events -------------------------------------------------------------------------------------------


def test_every_route_that_matches_is_answered_in_the_order_declared():
    router = Router()
    router.on("request.completed", name="first")(lambda made: None)
    router.on("request.timeout", name="second")(lambda made: None)
    router.on("*", name="third")(lambda made: None)

    assert names(router, completed()) == ["first", "third"]
    assert names(router, timed_out()) == ["second", "third"]


@pytest.mark.parametrize("event", ["request.completed", "request.*", "req*", "*"])
def test_an_event_is_given_by_name_or_prefix(event: str):
    assert wants(completed(), event)


@pytest.mark.parametrize("event", ["request.timeout", "loop.*", "request.completed.*"])
def test_other_events_do_not_match(event: str):
    assert not wants(completed(), event)


def test_a_future_event_name_can_be_registered():
    assert wants(decision(event="panel.convened"), "panel.convened")


def test_a_misspelled_event_is_warned_about():
    with pytest.warns(UserWarning, match=re.escape("is it 'request.completed'?")):
        Router().on("request.complete")


def test_documented_events_and_unlike_names_are_not_warned_about():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Router().on("request.timeout", "request.*", "*", "panel.convened", "loop.member_joined")


@pytest.mark.parametrize("event", ["completed", "", "!system.*", "request completed", "a.*.b", "**", "request."])
def test_a_string_that_no_event_can_have_as_its_name_is_refused(event: str):
    with pytest.raises(RouteInvalid, match="no event can have that name"):
        Router().on(event)


def test_a_bare_status_word_is_told_the_event():
    with pytest.raises(RouteInvalid, match=re.escape("did you mean 'request.completed'?")):
        Router().on("completed")


def test_listens_to_calls_no_predicate():
    router = Router()
    router.on("request.completed", when=boom)(handler)

    assert router.listens_to("request.completed")
    assert not router.listens_to("request.timeout")


def test_with_otherwise_every_event_is_listened_to():
    router = Router()
    router.otherwise(handler)

    assert router.listens_to("panel.convened")


def test_more_event_names_than_are_cached_are_routed():
    router = Router()
    router.on("panel.*")(handler)

    for number in range(1_000):
        assert names(router, decision(event=f"panel.e{number}")) == ["handler"]


def test_a_route_added_after_a_match_is_matched_too():
    router = Router()
    router.on("*")(handler)
    router.match(completed())

    router.on("*")(async_handler)

    assert names(router, completed()) == ["handler", "async_handler"]


# -- conditions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "condition"),
    [
        ("Approve", "Approve"), ("approve", "Approve"), ("Approve", "approve"), (["typo", "link"], "Typo"),
        ("approve_with_warning", "Approve with Warning"), (False, False), (0, 0), ("", ""),
        ("Approve with Warning", ["x", "approve_with_warning"]), (8.5, between(8, 9)), (4, range(1, 6)),
        ("ab", lambda text: len(text) == 2), ([], lambda answer: answer == []),
    ],
)  # fmt: skip
def test_a_response_matches(response: Any, condition: Any):
    assert wants(completed(response), response=condition)


@pytest.mark.parametrize(
    ("response", "condition"),
    [
        (True, 1), (1, True), (False, 0), ("", [None]), ("!", "?"), ("", "?"), ("?", ""), ([], "Approve"),
        ("no", False), ("APPROVE it", "Approve It"), (None, ["Approve", False, 0, ""]),
    ],
)  # fmt: skip
def test_a_response_does_not_match(response: Any, condition: Any):
    assert not wants(completed(response), response=condition)


@pytest.mark.parametrize("condition", ["Looks good", "looks_good", "lg"])
def test_a_response_is_met_by_its_label_or_its_value(condition: str):
    assert wants(completed("lg", labels=["Looks good"]), response=condition)
    assert wants(completed(["x", "lg"], labels=["X", "Looks good"]), response=condition)


@pytest.mark.parametrize("kind", ["text", "editable_text"])
def test_free_text_is_compared_to_the_letter(kind: str):
    assert wants(completed("approve", response_type=kind), response="approve")
    assert not wants(completed("Approve!", response_type=kind), response="approve")


@pytest.mark.parametrize(
    "options",
    [
        {"loop": "l1"}, {"loop": "Desk"}, {"loop": ["x", "l1"]}, {"loop": lambda name: name == "Desk"},
        {"reviewer": "u1"}, {"reviewer": "ROBIN@example.com"}, {"reviewer": {"Robin Example"}},
        {"reviewer": lambda reviewer: reviewer.email.endswith("@example.com")},
        {"response_type": "single_select"}, {"source": "human"}, {"outcome": ["completed", "timeout"]},
        {"trust": "callback"}, {"metadata": {"tier": "gold"}}, {"state": {"order": between(1, 9)}},
        {"state": lambda state: state["order"] == 7}, {"when": lambda made: made.attempt == 1},
        {"loop": "l1", "response": "Approve", "reviewer": "u1", "metadata": {"tier": "gold"}},
    ],
)  # fmt: skip
def test_a_decision_matches(options: dict[str, Any]):
    reviewer = Reviewer(id="u1", name="Robin Example", email="Robin@Example.com".lower())

    assert wants(
        completed(loop_id="l1", loop_name="Desk", reviewer=reviewer, metadata={"tier": "gold"}, state={"order": 7}),
        **options,
    )


@pytest.mark.parametrize(
    "options",
    [
        {"loop": "desk"}, {"loop": [None, "x"]}, {"reviewer": "u"}, {"reviewer": [None]},
        {"response_type": ["rating", "number"]}, {"source": "vendor_default"},
        {"outcome": [None, "cancelled"]},
        {"trust": "signed"}, {"metadata": {"tier": "gold"}}, {"state": {"order": 7}},
        {"when": lambda made: 0}, {"loop": "l1", "response": "Reject"},
    ],
)  # fmt: skip
def test_a_decision_does_not_match(options: dict[str, Any]):
    assert not wants(completed(loop_id="l1", loop_name="Desk", metadata={"tier": 1}), **options)


UNKNOWN = decision(
    event="panel.convened",
    trust="signed",
    loop_id=None,
    reviewer=None,
    response=None,
    metadata=None,
    state=None,
)


@pytest.mark.parametrize(
    ("option", "condition"),
    [
        ("loop", "l1"), ("reviewer", "u1"), ("response", ["", False, 0]), ("response_type", "text"),
        ("source", "human"), ("outcome", "completed"), ("metadata", {"k": ""}), ("state", {"k": 0}),
    ],
)  # fmt: skip
def test_what_is_unknown_matches_only_none_or_a_function(option: str, condition: Any):
    keyed = option in {"metadata", "state"}

    assert not wants(UNKNOWN, **{option: condition})
    assert wants(UNKNOWN, **{option: {"k": [None]} if keyed else [None]})
    assert wants(UNKNOWN, **{option: lambda value: value is None})


def test_functions_are_called_only_if_all_else_holds():
    assert not wants(completed(), when=boom, response=boom, source="vendor_default", late=True)


def test_when_is_called_last():
    asked: list[str] = []

    def note(word: str) -> Callable[[Any], bool]:
        return lambda value: asked.append(word) is None

    wants(completed(), when=note("when"), response=note("response"), loop=note("loop"))

    assert asked == ["loop", "response", "when"]


# -- predicates that raise ----------------------------------------------------------------------------


def test_where_a_function_raises_the_route_is_matched_and_says_so_itself():
    router = Router()
    router.on("*", response=boom)(handler)
    router.otherwise(async_handler)

    assert names(router, completed()) == ["handler"]
    with pytest.raises(LookupError, match="boom"):
        router["handler"].matches(completed())


@pytest.mark.parametrize("order", [1, -1])
def test_a_rule_that_raises_does_not_hide_one_that_holds(order: int):
    router = Router()
    for options in [{"when": boom}, {"response": "Approve"}][::order]:
        router.on("*", **options)(handler)

    assert router["handler"].matches(completed("Approve"))
    with pytest.raises(LookupError):
        router["handler"].matches(completed("Reject"))


# -- stacking, otherwise, late and conflict -----------------------------------------------------------


def test_stacked_decorators_are_one_route_that_any_of_them_wants():
    router = Router()

    @router.on("request.completed", response="Reject")
    @router.on("request.timeout")
    def release(made: Decision) -> None: ...

    assert len(router.routes) == 1
    assert router["release"].describe() == "request.completed [response='Reject'] or request.timeout"
    assert [names(router, made) for made in (completed("Reject"), timed_out(), completed("Approve"))] == [
        ["release"], ["release"], [],
    ]  # fmt: skip


def test_a_name_in_any_of_the_stacked_decorators_names_the_route():
    router = Router()
    router.on("request.completed")(handler)
    router.on("request.timeout", name="let-go")(handler)
    router.on("request.cancelled")(handler)

    assert [route.name for route in router.routes] == ["let-go"]


def test_one_function_cannot_have_two_names():
    router = Router()
    router.on("request.completed", name="a")(handler)

    with pytest.raises(RouteInvalid, match="name it once"):
        router.on("request.timeout", name="b")(handler)


def test_otherwise_runs_where_nothing_else_does():
    router = Router()
    router.on("request.completed", response="Approve")(handler)
    router.otherwise(async_handler)

    assert names(router, completed("Approve")) == ["handler"]
    assert names(router, completed("Reject")) == names(router, cancelled()) == ["async_handler"]


def test_otherwise_with_parentheses_takes_a_name():
    router = Router()

    @router.otherwise(name="rest")
    def unrouted(made: Decision) -> None: ...

    assert names(router, claimed()) == ["rest"]


@pytest.mark.parametrize("register", [Router.on, Router.otherwise])
def test_late_and_conflicting_decisions_run_only_what_asks_for_them(register: Any):
    router = Router()
    events = ("*",) if register is Router.on else ()
    register(router, *events)(handler)
    asking = Router()
    register(asking, *events, late=True)(handler)

    assert names(router, claimed(late=True)) == names(router, timed_out(conflict=True)) == []
    assert names(asking, claimed(late=True)) == names(asking, claimed()) == ["handler"]
    assert names(asking, timed_out(conflict=True)) == []


def test_a_conflict_is_asked_for_as_such_even_when_it_is_late():
    assert wants(timed_out(conflict=True), conflict=True)
    assert wants(timed_out(conflict=True, late=True), conflict=True)
    assert not wants(timed_out(conflict=True, late=True), late=True)


# -- what may be registered ---------------------------------------------------------------------------


class Poster:
    async def __call__(self, made: Decision) -> None: ...

    def post(self, made: Decision) -> None: ...


async def with_options(options: dict[str, Any], made: Decision) -> None: ...


@pytest.mark.parametrize(
    ("function", "name", "is_async"),
    [
        (handler, "handler", False), (async_handler, "async_handler", True), (Poster(), "Poster", True),
        (Poster().post, "post", False), (functools.partial(with_options, {}), "with_options", True),
        (functools.partial(Poster()), "Poster", True), (print, "print", False),
    ],
)  # fmt: skip
def test_the_decorator_returns_the_function(function: Any, name: str, is_async: bool):
    router = Router()

    assert router.on("*")(function) is function
    assert (router[name].handler, router[name].is_async) == (function, is_async)
    assert inspect.iscoroutinefunction(handler) is False


def generator(made: Decision) -> Any:
    yield made


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda made: None, "a lambda has no name"), (generator, "remove the `yield`"),
        (Poster, "is a class"),
        ("handler", "is not a function"), (None, "is not a function"), (lambda: None, "with one argument"),
        (Poster.post, "register a method from its instance"), (with_options, "with one argument"),
        (functools.partial(lambda made: None), "a lambda has no name"),
    ],
)  # fmt: skip
def test_what_could_never_run_is_refused(function: Any, says: str):
    router = Router()

    with pytest.raises(RouteInvalid, match=says):
        router.on("*")(function)
    assert router.routes == ()


@pytest.mark.parametrize("name", ["", "a b", "a,b", "x" * 101, "é", "a\n", 5])
def test_a_name_that_could_not_be_kept_is_refused(name: Any):
    with pytest.raises(RouteInvalid, match="1 to 100 of the characters"):
        Router().on("*", name=name)(handler)


def test_a_name_that_is_taken_is_refused_and_changes_nothing():
    router = Router()
    router.on("*")(handler)

    with pytest.raises(RouteInvalid, match="both named 'handler'"):
        router.on("*", name="handler")(async_handler)
    assert router["handler"].handler is handler


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"respons": "x"}, "did you mean 'response'?"), ({"retries": 3}, "retries= is no option: there are"),
        ({"loop": None}, "loop=None is no condition"), ({"loop": []}, "is empty"),
        ({"loop": 5}, "are strings"),
        ({"reviewer": between(1, 2)}, "are strings"), ({"metadata": "gold"}, "give the keys"),
        ({"source": "humane"}, "did you mean 'human'?"), ({"trust": "sure"}, "one of callback"),
        ({"outcome": "timed_out"}, "did you mean 'timeout'?"), ({"outcome": 1}, "there are completed, "),
        ({"response_type": "single-select"}, "did you mean 'single_select'?"), ({"late": 1}, "late=True"),
        ({"conflict": "yes"}, "conflict=True"), ({"when": True}, "is not a function"),
        ({"when": async_handler}, "plain `def`"), ({"when": lambda: True}, "one argument"),
    ],
)  # fmt: skip
def test_an_option_that_could_never_work_is_refused(options: dict[str, Any], says: str):
    with pytest.raises(RouteInvalid, match=re.escape(says)):
        Router().on("*", **options)


@pytest.mark.parametrize(
    ("events", "options"),
    [
        (["request.timeout"], {"response": "Approve"}), (["loop.created"], {"response": False}),
        (["request.completed", "request.timeout"], {"response": "Approve"}),
        (["request.timeout"], {"source": "human"}), (["request.completed"], {"source": "vendor_default"}),
        (["request.completed", "request.cancelled"], {"outcome": "completed"}),
    ],
)  # fmt: skip
def test_an_event_that_a_condition_would_never_let_through_is_refused(events: list[str], options: dict[str, Any]):
    with pytest.raises(RouteInvalid, match=r"give .* of its own"):
        Router().on(*events, **options)


@pytest.mark.parametrize(
    ("events", "options"),
    [
        (["request.*"], {"response": "Approve"}), (["request.timeout"], {"response": [None]}),
        (["request.timeout"], {"response": lambda answer: True}), (["panel.convened"], {"response": 1}),
        (["turn.resolved"], {"response": "approve", "source": "human"}),
        (["request.timeout", "request.cancelled"], {"source": ["vendor_default", "cancelled"]}),
    ],
)  # fmt: skip
def test_a_condition_that_might_hold_is_accepted(events: list[str], options: dict[str, Any]):
    Router().on(*events, **options)(handler)


def test_forgotten_parentheses_are_reported():
    with pytest.raises(RouteInvalid, match=re.escape('write @router.on("request.completed")')):
        Router().on(handler)  # type: ignore[arg-type]


def test_forgotten_events_are_reported():
    with pytest.raises(RouteInvalid, match="names no event"):
        Router().on()


def test_otherwise_stands_alone():
    router = Router()
    router.otherwise(handler)

    with pytest.raises(RouteInvalid, match="stands alone"):
        router.on("*")(handler)
    with pytest.raises(RouteInvalid, match="both `otherwise`"):
        router.otherwise(async_handler)
    with pytest.raises(RouteInvalid, match="did you mean 'name'"):
        router.otherwise(nam="x")


# -- looking up and composing -------------------------------------------------------------------------


def test_a_route_is_found_by_its_name():
    router = Router()
    router.on("*")(handler)

    assert router.get("handler") is router["handler"] is router.routes[0]
    assert router.get("other") is None
    with pytest.raises(KeyError, match="did you mean 'handler'"):
        router["handle"]


def test_an_included_router_keeps_its_conditions_under_a_prefix():
    router, billing = Router(), Router()
    router.on("*")(handler)
    billing.on("request.completed", response="Approve")(handler)

    router.include(billing, prefix="billing")

    assert names(router, completed("Approve")) == ["handler", "billing.handler"]
    assert names(router, completed("Reject")) == ["handler"]


def test_including_takes_all_or_nothing():
    router, other = Router(), Router()
    router.on("*")(handler)
    other.on("*")(async_handler)
    other.on("*", name="handler")(lambda made: None)

    with pytest.raises(RouteInvalid, match="both named 'handler'"):
        router.include(other)
    assert names(router, completed()) == ["handler"]


def test_an_included_otherwise_route_applies_to_all_routes():
    router, other = Router(), Router()
    router.on("request.completed")(handler)
    other.otherwise(async_handler)

    router.include(other)

    assert names(router, completed()) == ["handler"]
    assert names(router, timed_out()) == ["async_handler"]


@pytest.mark.parametrize(("other", "prefix"), [("router", None), (Router(), "a b")])
def test_what_cannot_be_included_is_refused(other: Any, prefix: str | None):
    with pytest.raises(RouteInvalid):
        Router().include(other, prefix)


def test_a_router_cannot_include_itself():
    router = Router()

    with pytest.raises(RouteInvalid, match="give another Router"):
        router.include(router)


def test_a_route_is_described_on_one_line():
    router = Router()
    router.on("request.*", loop="l1", response=[1, between(3, 4)], when=boom, late=True)(handler)
    router.otherwise(async_handler)

    assert router["handler"].describe() == "request.* [loop='l1', response=[1, between(3, 4)], when=boom, late]"
    assert router["async_handler"].describe() == "otherwise: *"


async def test_a_handler_stays_a_plain_callable():
    router = Router()
    seen: list[Decision] = []

    @router.on("request.completed")
    async def pay_out(made: Decision) -> None:
        seen.append(made)

    await asyncio.wait_for(pay_out(completed()), timeout=1)

    assert len(seen) == 1


# -- laws ---------------------------------------------------------------------------------------------


@pytest.mark.slow
@given(JSON, st.lists(st.text()), st.sampled_from(["text", "single_select", None]))
def test_no_response_makes_a_condition_raise(response: Any, labels: list[str], kind: str | None):
    router = Router()
    router.on("*", response=["Approve", True, 3, None, between(1, 2)], state={"k": ["a", 1]})(handler)
    made = decision(response=response, labels=labels, response_type=kind, state=response, body=b"")

    assert router["handler"].matches(made) is bool(router.match(made))


@given(WORDS, WORDS, st.lists(WORDS), st.sampled_from(["l1", "l2"]))
def test_conditions_in_one_on_are_anded(word: str, response: str, labels: list[str], loop: str):
    made = completed(response, labels=labels, loop_id="l1")

    both = wants(made, response=word, loop=loop)

    assert both == (wants(made, response=word) and wants(made, loop=loop))


@given(WORDS, WORDS, WORDS)
def test_stacking_is_or_and_so_is_a_collection(one: str, other: str, response: str):
    router, made = Router(), completed(response)
    router.on("*", response=one)(handler)
    router.on("*", response=other)(handler)

    either = wants(made, response=one) or wants(made, response=other)

    assert bool(router.match(made)) == wants(made, response=[one, other]) == either


@pytest.mark.parametrize(
    ("name", "fields", "read"),
    [
        ("execution.completed", {"workflow_id": "wf_1", "execution_id": "exec_1"}, lambda made: made.workflow_id),
        ("turn.resolved", {"session_id": "sess_1"}, lambda made: made.session_id),
        ("loop.member_joined", {"member": LoopMember(id="u1", role="admin")}, lambda made: made.member),
        ("request.cancelled", {"refund_info": RefundInfo(refunded=True)}, lambda made: made.refund_info),
        ("request.completed", {"response_type": "editable_text", "was_edited": True}, lambda made: made.was_edited),
    ],
)
def test_a_function_reads_what_one_kind_of_event_carries(
    name: str, fields: dict[str, Any], read: Callable[[Decision], Any]
) -> None:
    router = Router()
    router.on(name, when=read, name="wanted")(handler)

    assert names(router, decision(event=name, **fields)) == ["wanted"]
    assert names(router, decision(event=name)) == []
