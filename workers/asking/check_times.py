"""When a request with a waiter is checked at HITL.sh, in case its webhook was lost. Pure."""

from hitlsh.asking.asked_request import AskedRequest

#: Seconds from the question to the first check, and the factor by which the delay grows.
_FIRST_DELAY, _GROWTH = 300.0, 2.0
#: Seconds after its timeout until a check; its webhook should have arrived.
_AFTER_TIMEOUT = 15.0


def next_check(request: AskedRequest, now: float) -> float:
    """The time of the next check: 5, 10, 20 ... minutes after the question, and after its timeout.

    The times depend only on the request, so that all web processes with waiters agree. `now`: seconds since 1970.
    """
    if request.asked_at is None:
        return float("inf")
    asked_at = request.asked_at.timestamp()
    delay = _FIRST_DELAY
    while asked_at + delay <= now:
        delay *= _GROWTH
    check = asked_at + delay
    if request.timeout_at is not None and (ended := request.timeout_at.timestamp() + _AFTER_TIMEOUT) > now:
        check = min(check, ended)
    return check
