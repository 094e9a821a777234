"""A naive receiver to compare with: it verifies, then enqueues one RQ job for each delivery."""

import hashlib
import hmac
import json
import os

from redis import Redis
from rq import Queue
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

SECRET = os.environ["HITL_WEBHOOK_SECRETS"].encode()
queue = Queue("naive", connection=Redis.from_url(os.environ["REDIS_URL"]))


async def receive(request: Request) -> JSONResponse:
    body = await request.body()
    signature = request.headers.get("x-hitl-signature-256", "").removeprefix("sha256=")
    if not hmac.compare_digest(signature, hmac.new(SECRET, body, hashlib.sha256).hexdigest()):
        return JSONResponse({"error": "signature"}, status_code=401)
    queue.enqueue("benchmarks.naive_handler.handle", json.loads(body), result_ttl=0)
    return JSONResponse({"status": "accepted"}, status_code=202)


app = Starlette(routes=[Route("/webhooks/hitl", receive, methods=["POST"])])
