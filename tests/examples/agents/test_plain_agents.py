"""The examples that need no agent framework, each as a process of its own."""

import re

import pytest

from tests.examples.agents.conftest import EXAMPLES, Person, finish, start
from tests.service.web.requests.conftest import AskingReceiver

pytestmark = [pytest.mark.usefixtures("environment"), pytest.mark.slow]


def test_examples_are_short() -> None:
    lengths = {path.name: len(path.read_text().splitlines()) for path in EXAMPLES.glob("*.py")}

    assert lengths
    assert {name: length for name, length in lengths.items() if length >= 60} == {}


def test_an_agent_that_is_killed_after_asking_gets_the_answer_when_it_runs_again(person: Person) -> None:
    question = "Refund order 42?"
    killed = start("asyncio_agent.py", "42")
    person.wait_for(question)
    killed.kill()
    finish(killed)
    person.answer(question, "Approve")

    assert finish(start("asyncio_agent.py", "42")) == (0, "Order 42 is refunded.\n")
    assert len(person.asked(question)) == 1


def test_an_agent_tells_a_no_from_a_timeout(person: Person, web: AskingReceiver) -> None:
    rejected, late = start("asyncio_agent.py", "43"), start("asyncio_agent.py", "44")
    person.answer("Refund order 43?", "Reject")
    person.wait_for("Refund order 44?")
    web.asking.sandbox.advance(1801)

    assert finish(rejected) == (0, "Order 43 is not refunded: a person rejected it.\n")
    assert finish(late) == (0, "Order 44 is not refunded: nobody answered.\n")


@pytest.mark.parametrize(
    ("version", "response", "code", "said"),
    [
        ("1.0", "Deploy now", 0, "A person decided: Deploy now."),
        ("1.1", "Do not deploy", 1, "A person decided: Do not deploy."),
        ("1.2", None, 0, "Nobody answered, so Deploy tonight."),
    ],
)
def test_a_script_waits_for_a_person_and_falls_back_on_its_default(
    person: Person, web: AskingReceiver, version: str, response: str | None, code: int, said: str
) -> None:
    script = start("sync_script.py", version)
    if response is not None:
        person.answer(f"Deploy version {version}?", response)
    else:
        person.wait_for(f"Deploy version {version}?")
        web.asking.sandbox.advance(601)

    ended, output = finish(script)
    first, second = output.splitlines()
    assert (ended, second) == (code, said)
    assert re.fullmatch(r"Asked: ask_\S{22}\. Waiting for a person\.", first)


@pytest.mark.parametrize(
    ("amount", "response", "code", "said"),
    [
        ("120", True, 0, "Refunded 120 EUR for order 45.\n"),
        ("999", False, 1, "refund did not run: a person rejected it\n"),
    ],
)
def test_a_function_runs_only_with_an_approval(
    person: Person, amount: str, response: bool, code: int, said: str
) -> None:
    function = start("approved_function.py", "45", amount)
    person.answer(f"Refund {amount} EUR for order 45?", response)

    assert finish(function) == (code, said)
