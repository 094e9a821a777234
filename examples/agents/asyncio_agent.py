"""An asyncio agent that may die between the question and the answer: run it again, and it goes on where it was.

python examples/agents/asyncio_agent.py 42
"""

import asyncio
import sys
from datetime import timedelta

from hitlsh import Answered, AsyncHitl, TimedOut, single_select


async def refund(order: str) -> str:
    async with AsyncHitl() as hitl:  # HITL_RECEIVER_URL and HITL_RECEIVER_TOKEN
        outcome = await hitl.ask(
            f"Refund order {order}?",
            loop="Example desk",
            answer=single_select("Approve", "Reject"),
            default="Reject",
            timeout=timedelta(minutes=30),
            context={"order": order},
            # With this key the question is asked once, however often this program starts.
            key=f"refund-{order}",
        )
    match outcome:
        case Answered(response="Approve"):
            return f"Order {order} is refunded."
        case Answered():
            return f"Order {order} is not refunded: a person rejected it."
        case TimedOut():
            return f"Order {order} is not refunded: nobody answered."
        case _:
            return f"Order {order} needs a person: the question ended as {type(outcome).__name__}."


if __name__ == "__main__":
    print(asyncio.run(refund(sys.argv[1] if len(sys.argv) > 1 else "42")))
