"""The examples with agent frameworks: the models are scripts, everything else is real."""

import asyncio
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.examples.agents.conftest import EXAMPLES, ROOT, Person
from tests.processes.programs import Program
from tests.python_path import python_path
from tests.service.conftest import CALLBACK_KEY, wait_until
from tests.service.web.requests.conftest import TOKEN, Asking, AskingReceiver

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("environment")]

CALLS = [("c-1", {"order": 42, "amount": 120}, True), ("c-2", {"order": 43, "amount": 9}, False)]


def example(name: str) -> Any:
    """The module of an example."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pydantic_ai_model(call_id: str, arguments: Any) -> Any:
    """Calls the tool once, then repeats what the tool returned."""
    from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart, ToolReturnPart
    from pydantic_ai.models.function import FunctionModel

    def respond(messages: Any, _info: Any) -> Any:
        returned = [part for part in messages[-1].parts if isinstance(part, ToolReturnPart)]
        if returned:
            return ModelResponse(parts=[TextPart(str(returned[0].content))])
        return ModelResponse(parts=[ToolCallPart("refund", arguments, tool_call_id=f"pydantic-{call_id}")])

    return FunctionModel(respond)


@pytest.mark.parametrize(("call_id", "arguments", "is_approved"), CALLS)
async def test_a_deferred_tool_of_pydantic_ai_waits_for_a_person(
    person: Person, call_id: str, arguments: Any, is_approved: bool
) -> None:
    pytest.importorskip("pydantic_ai", reason="the agent frameworks are not installed: make install")
    answering = person.answer_soon("Run refund?", is_approved)

    said = await example("pydantic_ai_agent").run(pydantic_ai_model(call_id, arguments), "Refund, please.")

    answering.join()
    assert said == ("Refunded 120 EUR for order 42." if is_approved else "A person rejected it.")


@pytest.mark.parametrize(("call_id", "arguments", "is_approved"), CALLS)
async def test_a_tool_of_the_openai_agents_sdk_waits_for_a_person_across_a_restart(
    person: Person, tmp_path: Path, call_id: str, arguments: Any, is_approved: bool
) -> None:
    pytest.importorskip("agents", reason="the agent frameworks are not installed: make install")
    from agents import set_tracing_disabled
    from agents.testing import ScriptedModel, assistant_message, function_call

    set_tracing_disabled(True)
    openai_agent, saved = example("openai_agent"), tmp_path / "saved.json"
    call = function_call("refund", json.dumps(arguments), call_id=f"openai-{call_id}")
    question = "Run refund?"
    dying = asyncio.create_task(openai_agent.run("Refund, please.", saved, ScriptedModel([[call]])))
    await asyncio.to_thread(wait_until, lambda: bool(person.asked(question)), 30.0)
    dying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dying
    await asyncio.to_thread(person.answer, question, is_approved)
    model = ScriptedModel([[assistant_message("Done.")]])
    said = await openai_agent.run("Refund, please.", saved, model)

    assert (said, saved.exists(), len(person.asked(question))) == ("Done.", False, 1)
    (returned,) = [item["output"] for item in model.last_call.input if item.get("type") == "function_call_output"]
    assert ("Refunded 120 EUR for order 42." in returned) is is_approved


LANGGRAPH = """
import sys
from pathlib import Path

sys.path.insert(0, str(Path.cwd()))
from examples.agents.langgraph_agent import graph, start

for order in sys.argv[1:]:
    print(start(order))
"""


def test_a_handler_resumes_an_interrupted_graph_of_langgraph(
    asking: Asking, web: AskingReceiver, person: Person, tmp_path: Path
) -> None:
    pytest.importorskip("langgraph.checkpoint.sqlite", reason="the agent frameworks are not installed: make install")
    checkpoints = tmp_path / "checkpoints.db"
    environ = {
        "REDIS_URL": asking.redis_url,
        "CHECKPOINTS": str(checkpoints),
        "HITL_CALLBACK_SECRETS": CALLBACK_KEY,
        "HITL_HANDLERS": "examples.agents.langgraph_agent",
        "HITL_RECEIVER_URL": web.url,
        "HITL_RECEIVER_TOKEN": TOKEN,
        "PYTHONPATH": python_path(),
    }
    answers = {"42": True, "43": False}
    with Program("work", "--queue", "hitl", cwd=tmp_path, environ=environ) as worker:
        agent = [sys.executable, "-c", LANGGRAPH, *answers]
        started = subprocess.run(agent, env=os.environ | environ, cwd=ROOT, capture_output=True, text=True, check=False)
        assert started.stdout.count("__interrupt__") == 2, started.stderr

        for order, is_approved in answers.items():
            person.answer(f"Refund order {order} with LangGraph?", is_approved)
        wait_until(lambda: None not in [outcome(checkpoints, order) for order in answers], 30.0)
        assert worker.stop() == 0, worker.output

    assert [outcome(checkpoints, order) for order in answers] == ["refunded", "not refunded"]
    assert [len(person.asked(f"Refund order {order} with LangGraph?")) for order in answers] == [1, 1]


def outcome(checkpoints: Path, order: str) -> Any:
    """The result in the graph's last checkpoint."""
    from langgraph.checkpoint.sqlite import SqliteSaver

    with SqliteSaver.from_conn_string(str(checkpoints)) as saver:
        saved = saver.get({"configurable": {"thread_id": order}})
    return saved["channel_values"].get("result") if saved else None
