"""The web process and the sandbox of the tests of ``/requests``."""

from tests.service.web.requests.conftest import asking, sandbox, session_asking, web

__all__ = ["asking", "sandbox", "session_asking", "web"]
