"""When HITL.sh is asked about a request for which somebody waits, should its webhook not come. Pure."""

from hitlsh.asking.asked_request import AskedRequest

#: Seconds after the question was asked: checks get rarer as the wait gets longer.
_FIRST, _GROWTH = 300.0, 2.0
#: Seconds after its timeout: a webhook has had its time.
_AFTER_TIMEOUT = 15.0


def next_check(request: AskedRequest, now: float) -> float:
    """The next time at which a check is worth a call: after 5, 10, 20 ... minutes, and after its timeout.

    The times depend on the request alone, so that all web processes on which somebody waits agree. `now`: seconds since
    1970.
    """
    if request.asked_at is None:
        return float("inf")
    asked = request.asked_at.timestamp()
    delay = _FIRST
    while asked + delay <= now:
        delay *= _GROWTH
    check = asked + delay
    if request.timeout_at is not None and (ended := request.timeout_at.timestamp() + _AFTER_TIMEOUT) > now:
        check = min(check, ended)
    return check
