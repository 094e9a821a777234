"""A function that runs only after a person has approved this call of it.

python examples/agents/approved_function.py 42 120
"""

import sys
from datetime import timedelta

from hitlsh import NotApproved, approve


@approve(
    loop="Example desk",
    text="Refund {amount} EUR for order {order}?",
    timeout=timedelta(minutes=30),
    key="refund-{order}-{amount}",
)
def refund(order: str, amount: int) -> str:
    return f"Refunded {amount} EUR for order {order}."


if __name__ == "__main__":
    try:
        print(refund(sys.argv[1], int(sys.argv[2])))
    except NotApproved as error:
        sys.exit(str(error))
