"""The sandbox's exceptions.

::

    SandboxError
    ├── Refusal                 an error reply: its status and the vendor's wording
    │   └── TopLevelRateLimit   the 429 with its numbers beside ``msg``       hitl_sandbox.model.rate_limiter
    ├── ControlRefused          a control route refused (an AssertionError)   hitl_sandbox.testing
    └── NotStarted              the sandbox did not start
"""

from typing import Any


class SandboxError(Exception):
    """Root of the sandbox's exceptions."""


class Refusal(SandboxError):
    """A call that the vendor would refuse; the API replies with it in the documented envelope."""

    def __init__(self, status: int, msg: str, data: Any = None) -> None:
        super().__init__(f"{status} {msg}" if data is None else f"{status} {msg} ({data})")
        self.status = status
        self.msg = msg
        self.data = data


class NotStarted(SandboxError):
    """The sandbox did not start in time."""
