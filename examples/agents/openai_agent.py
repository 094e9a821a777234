"""An agent of the OpenAI Agents SDK whose refunds wait for a person, and which survives a restart meanwhile.

python examples/agents/openai_agent.py "Refund order 42, please."
"""

import asyncio
import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from agents import Agent, Runner, RunState, ToolApprovalItem, function_tool

from hitlsh import Answered, AsyncHitl


@function_tool(needs_approval=True)
def refund(order: int, amount: int) -> str:
    """Refund an amount in EUR."""
    return f"Refunded {amount} EUR for order {order}."


async def is_approved(hitl: AsyncHitl, item: ToolApprovalItem) -> bool:
    outcome = await hitl.ask(
        f"Run {item.name}?",
        loop="Example desk",
        answer=bool,
        default=False,
        timeout=timedelta(minutes=30),
        context=json.loads(item.arguments or "{}"),
        key=item.call_id,  # after a restart, the same call of the model is not asked again
    )
    return isinstance(outcome, Answered) and outcome.response


async def run(prompt: str, saved: Path, model: Any = None) -> str:
    agent = Agent(name="Desk", tools=[refund], model=model)
    if saved.exists():
        result = await Runner.run(agent, await RunState.from_string(agent, saved.read_text()))
    else:
        result = await Runner.run(agent, prompt)
    async with AsyncHitl() as hitl:  # HITL_RECEIVER_URL and HITL_RECEIVER_TOKEN
        while result.interruptions:
            state = result.to_state()
            saved.write_text(state.to_string())
            for item in result.interruptions:
                if await is_approved(hitl, item):
                    state.approve(item)
                else:
                    state.reject(item)
            result = await Runner.run(agent, state)
    saved.unlink(missing_ok=True)
    return str(result.final_output)


if __name__ == "__main__":
    print(asyncio.run(run(sys.argv[1], Path("openai_agent.json"))))
