"""A deployment script that asks a person before it goes on. Exit code 1: not this time.

python examples/agents/sync_script.py 1.4.2
"""

import sys
from datetime import timedelta
from enum import Enum

from hitlsh import Defaulted, Hitl


class Deployment(Enum):
    NOW = "Deploy now"
    TONIGHT = "Deploy tonight"
    NEVER = "Do not deploy"


def main(version: str) -> int:
    with Hitl() as hitl:  # HITL_RECEIVER_URL and HITL_RECEIVER_TOKEN
        handle = hitl.submit(
            f"Deploy version {version}?",
            loop="Example desk",
            answer=Deployment,
            default=Deployment.TONIGHT,
            timeout=timedelta(minutes=10),
        )
        print(f"Asked: {handle.id}. Waiting for a person.", flush=True)
        decision = hitl.wait(handle, on_timeout="default")
    who = "Nobody answered, so" if isinstance(decision, Defaulted) else "A person decided:"
    print(f"{who} {decision.response.value}.")
    return 1 if decision.response is Deployment.NEVER else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "1.4.2"))
