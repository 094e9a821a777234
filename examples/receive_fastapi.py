"""Receive HITL.sh webhooks in FastAPI, with hitlsh alone.

HITL_WEBHOOK_SECRETS=... HITL_CALLBACK_SECRETS=... uvicorn --factory examples.receive_fastapi:create_app
"""

import logging
import os

from fastapi import FastAPI, Request, Response

from hitlsh.webhooks import CallbackSigner, DeliveryRefused, Event, VerifiedDelivery, receive, receive_callback

logger = logging.getLogger(__name__)


def create_app() -> FastAPI:
    app = FastAPI()
    secrets = os.environ["HITL_WEBHOOK_SECRETS"].split(",")
    signer = CallbackSigner(os.environ["HITL_CALLBACK_SECRETS"].split(","))

    @app.post("/webhooks/hitl", status_code=202)
    async def account_webhook(request: Request) -> None:
        keep(receive(request.headers, await request.body(), secrets=secrets))

    @app.post("/callbacks/{token}", status_code=202)
    async def callback(token: str, request: Request) -> None:
        keep(receive_callback(token, await request.body(), signer=signer))

    @app.exception_handler(DeliveryRefused)
    async def refuse(_request: Request, error: DeliveryRefused) -> Response:
        logger.warning("%s: %s", error.reason, error)
        return Response(status_code=error.status)

    return app


def keep(delivery: VerifiedDelivery) -> None:
    """Store the delivery before it is answered: HITL.sh retries after a 5xx, and never after a 2xx."""
    if isinstance(delivery.event, Event):
        print(delivery.event.name, delivery.event.request_id, delivery.event.response)
    else:
        print("An unknown form:", delivery.body)
