"""The root of hitlsh's exceptions, and that of refused deliveries. The tree is drawn in `hitlsh`."""

from typing import ClassVar


class HitlshError(Exception):
    """The root of every exception of hitlsh."""


class DeliveryRefused(HitlshError):
    """A webhook delivery is not accepted.

    The message is for operators and holds nothing of the delivery. Tell the sender no more than the status.
    """

    #: The HTTP status to answer with. HITL.sh does not repeat a delivery that was answered with a 4xx.
    status: ClassVar[int] = 401
    #: A short name for logs and counters, such as ``signature_missing``.
    reason: str
