"""Composes the HTTP API: its routes and the objects that they share."""

from redis.asyncio import Redis as AsyncRedis
from starlette.routing import BaseRoute, Route

from service.web.requests.api_endpoint import ApiEndpoint
from service.web.requests.openapi_document import DocumentEndpoint
from service.web.requests.request_endpoints import PATH, RequestHandlers
from service.web.requests.request_waits import RequestWaits
from service.web.requests.token_access import TokenAccess
from service.web.requests.waiting_hub import WaitingHub
from workers.asking.asking_service import AskingService
from workers.inbox.questions.question_waits import QuestionWaits
from workers.settings import Settings


class RequestApi:
    """``/requests`` and ``/openapi.json`` of one web process."""

    def __init__(self, settings: Settings, redis: AsyncRedis) -> None:
        self._service = AskingService(settings, redis)
        self._hub = WaitingHub(self._service, QuestionWaits(redis))
        access = TokenAccess(settings.access_tokens)
        handlers = RequestHandlers(self._service, RequestWaits(self._service, self._hub, access))
        self.routes: list[BaseRoute] = [
            Route(PATH, ApiEndpoint(access, {"GET": ("read", handlers.list_open), "POST": ("ask", handlers.ask)})),
            Route(
                f"{PATH}/{{id}}",
                ApiEndpoint(access, {"GET": ("read", handlers.read), "DELETE": ("ask", handlers.cancel)}),
            ),
            Route(f"{PATH}/{{id}}/events", ApiEndpoint(access, {"GET": ("read", handlers.follow)})),
            Route("/openapi.json", DocumentEndpoint()),
        ]

    def start(self) -> None:
        """Begin to follow the changes of requests."""
        self._hub.start()

    def end_waits(self) -> None:
        """Answer every waiting call, because the process is about to stop."""
        self._hub.end_waits()

    async def close(self) -> None:
        """End the background tasks, and close the connections to HITL.sh."""
        await self._hub.close()
        await self._service.close()
