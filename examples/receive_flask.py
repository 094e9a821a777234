"""Receive HITL.sh webhooks in Flask, with hitlsh alone.

HITL_WEBHOOK_SECRETS=... HITL_CALLBACK_SECRETS=... flask --app examples.receive_flask run
"""

import os

from flask import Flask, Response, request

from hitlsh.webhooks import CallbackSigner, DeliveryRefused, Event, VerifiedDelivery, receive, receive_callback


def create_app() -> Flask:
    app = Flask(__name__)
    secrets = os.environ["HITL_WEBHOOK_SECRETS"].split(",")
    signer = CallbackSigner(os.environ["HITL_CALLBACK_SECRETS"].split(","))

    @app.post("/webhooks/hitl")
    def account_webhook() -> Response:
        keep(receive(request.headers, request.get_data(), secrets=secrets))
        return Response(status=202)

    @app.post("/callbacks/<token>")
    def callback(token: str) -> Response:
        keep(receive_callback(token, request.get_data(), signer=signer))
        return Response(status=202)

    @app.errorhandler(DeliveryRefused)
    def refuse(error: DeliveryRefused) -> Response:
        app.logger.warning("%s: %s", error.reason, error)
        return Response(status=error.status)

    return app


def keep(delivery: VerifiedDelivery) -> None:
    """Store the delivery before it is answered: HITL.sh retries after a 5xx, and never after a 2xx."""
    if isinstance(delivery.event, Event):
        print(delivery.event.name, delivery.event.request_id, delivery.event.response)
    else:
        print("An unknown form:", delivery.body)
