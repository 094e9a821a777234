"""The sandbox's exceptions.

::

    SandboxError
    ├── Refusal        an answer with a status and the vendor's wording
    │   └── TopLevel   the 429 whose numbers stand beside ``msg``      hitl_sandbox.model.quota
    ├── Refused        a control route refused (an AssertionError)     hitl_sandbox.testing
    └── NotStarted     the sandbox did not come up
"""

from typing import Any


class SandboxError(Exception):
    """Root of everything the sandbox raises itself."""


class Refusal(SandboxError):
    """A call the vendor would turn down: one place turns it into the documented envelope."""

    def __init__(self, status: int, msg: str, data: Any = None) -> None:
        super().__init__(f"{status} {msg}" if data is None else f"{status} {msg} ({data})")
        self.status = status
        self.msg = msg
        self.data = data


class NotStarted(SandboxError):
    """The sandbox did not answer in time after it was started."""
