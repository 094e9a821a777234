"""A Pydantic AI agent whose refunds wait for a person: deferred tools, https://ai.pydantic.dev/deferred-tools/.

python examples/agents/pydantic_ai_agent.py openai:gpt-5 "Refund order 42, please."
"""

import asyncio
import sys
from datetime import timedelta
from typing import Any

from pydantic_ai import Agent, DeferredToolRequests, DeferredToolResults, ToolApproved, ToolDenied
from pydantic_ai.messages import ToolCallPart

from hitlsh import Answered, AsyncHitl


def build_agent(model: Any) -> Agent[None, str | DeferredToolRequests]:
    agent = Agent(model, output_type=[str, DeferredToolRequests])

    @agent.tool_plain(requires_approval=True)
    def refund(order: int, amount: int) -> str:
        """Refund an amount in EUR."""
        return f"Refunded {amount} EUR for order {order}."

    return agent


async def review(hitl: AsyncHitl, call: ToolCallPart) -> ToolApproved | ToolDenied:
    outcome = await hitl.ask(
        f"Run {call.tool_name}?",
        loop="Example desk",
        answer=bool,
        default=False,
        timeout=timedelta(minutes=30),
        context=call.args_as_dict(),
        key=call.tool_call_id,  # the same call of the model is asked once
    )
    if isinstance(outcome, Answered):
        return ToolApproved() if outcome.response else ToolDenied("A person rejected it.")
    return ToolDenied("Nobody approved it in time.")


async def run(model: Any, prompt: str) -> str:
    agent = build_agent(model)
    result = await agent.run(prompt)
    async with AsyncHitl() as hitl:  # HITL_RECEIVER_URL and HITL_RECEIVER_TOKEN
        while isinstance(result.output, DeferredToolRequests):
            calls = result.output.approvals
            reviews = await asyncio.gather(*(review(hitl, call) for call in calls))
            results = DeferredToolResults()
            results.approvals.update(zip((call.tool_call_id for call in calls), reviews, strict=True))
            result = await agent.run(message_history=result.all_messages(), deferred_tool_results=results)
    return result.output


if __name__ == "__main__":
    print(asyncio.run(run(sys.argv[1], sys.argv[2])))
