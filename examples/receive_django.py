"""Receive HITL.sh webhooks in Django, with hitlsh alone. A project of your own needs only the two views.

HITL_WEBHOOK_SECRETS=... HITL_CALLBACK_SECRETS=... python -m examples.receive_django runserver
"""

import logging
import os
import sys
from collections.abc import Callable

from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from hitlsh.webhooks import CallbackSigner, DeliveryRefused, Event, VerifiedDelivery, receive, receive_callback

logger = logging.getLogger(__name__)


@csrf_exempt
@require_POST
def account_webhook(request: HttpRequest) -> HttpResponse:
    return answer(lambda: receive(request.headers, request.body, secrets=settings.HITL_WEBHOOK_SECRETS))


@csrf_exempt
@require_POST
def callback(request: HttpRequest, token: str) -> HttpResponse:
    signer = CallbackSigner(settings.HITL_CALLBACK_SECRETS)
    return answer(lambda: receive_callback(token, request.body, signer=signer))


def answer(receive_delivery: Callable[[], VerifiedDelivery]) -> HttpResponse:
    try:
        delivery = receive_delivery()
    except DeliveryRefused as error:
        logger.warning("%s: %s", error.reason, error)
        return HttpResponse(status=error.status)
    keep(delivery)
    return HttpResponse(status=202)


def keep(delivery: VerifiedDelivery) -> None:
    """Store the delivery before it is answered: HITL.sh retries after a 5xx, and never after a 2xx."""
    if isinstance(delivery.event, Event):
        print(delivery.event.name, delivery.event.request_id, delivery.event.response)
    else:
        print("An unknown form:", delivery.body)


urlpatterns = [path("webhooks/hitl", account_webhook), path("callbacks/<str:token>", callback)]


def configure() -> None:
    """Configure Django from the environment, in place of a settings module."""
    settings.configure(
        ALLOWED_HOSTS=["localhost", "127.0.0.1", "testserver"],
        ROOT_URLCONF=__name__,
        HITL_WEBHOOK_SECRETS=os.environ["HITL_WEBHOOK_SECRETS"].split(","),
        HITL_CALLBACK_SECRETS=os.environ["HITL_CALLBACK_SECRETS"].split(","),
    )


if __name__ == "__main__":
    configure()
    execute_from_command_line(sys.argv)
