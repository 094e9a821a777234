"""The API key."""

from hitlsh.api.models.accounts import KeyTest
from hitlsh.api.operations import Operation


def test() -> Operation[KeyTest]:
    """Return the owner and the permissions of the API key. It costs a call, like every other."""
    return Operation(method="GET", path="/test", read=lambda reply: KeyTest.from_payload(reply.data))
