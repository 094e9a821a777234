"""The key itself."""

from hitlsh.api.models.accounts import KeyTest
from hitlsh.api.operations import Operation


def test() -> Operation[KeyTest]:
    """Ask whose key this is and what it may do; costs a call, as everything does."""
    return Operation(method="GET", path="/test", read=lambda reply: KeyTest.from_payload(reply.data))
