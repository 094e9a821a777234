"""A LangGraph node that interrupts its graph, which a handler resumes: no process waits meanwhile.

The agent runs in any process, `start("42")`, and the receiver's worker runs the handler below: set
HITL_HANDLERS=examples.agents.langgraph_agent there, and HITL_RECEIVER_URL and HITL_RECEIVER_TOKEN in both.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt

from hitlsh import Hitl
from workers import Decision, Router

router = Router()


class Refund(TypedDict, total=False):
    order: str
    result: str


def review(state: Refund) -> Refund:
    order = state["order"]
    question = f"Refund order {order} with LangGraph?"
    with Hitl() as hitl:  # the node runs again when it is resumed: with the key, it asks once
        hitl.submit(question, loop="Example desk", answer=bool, default=False, timeout=timedelta(minutes=30),
                    key=f"langgraph-{order}", state={"graph": "refunds", "order": order})  # fmt: skip
    is_approved = interrupt(question)
    return {"result": "refunded" if is_approved else "not refunded"}


@contextmanager
def graph() -> Iterator[Any]:
    with SqliteSaver.from_conn_string(os.environ.get("CHECKPOINTS", "checkpoints.db")) as checkpoints:
        builder = StateGraph(Refund).add_node(review).add_edge(START, "review").add_edge("review", END)
        yield builder.compile(checkpointer=checkpoints)


def start(order: str) -> Any:
    with graph() as refunds:
        return refunds.invoke({"order": order}, {"configurable": {"thread_id": order}})


@router.on("request.completed", "request.timeout", "request.cancelled", state={"graph": "refunds"})
def resume(decision: Decision) -> None:
    config: RunnableConfig = {"configurable": {"thread_id": decision.state["order"]}}
    with graph() as refunds:
        snapshot = refunds.get_state(config)
        if not (snapshot.interrupts or "result" in snapshot.values):
            raise RuntimeError("The graph has not paused yet")  # the receiver tries again
        if snapshot.interrupts:  # not when the handler runs a second time
            refunds.invoke(Command(resume=decision.response is True), config)
