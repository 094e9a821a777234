"""The web process and the sandbox of the tests of ``/requests``."""

from tests.service.web.requests.conftest import asking, asking_and_web, sandbox, server, web

__all__ = ["asking", "asking_and_web", "sandbox", "server", "web"]
