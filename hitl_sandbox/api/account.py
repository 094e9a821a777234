"""GET /test, and the health check that the troubleshooting page calls."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hitl_sandbox.api.call import ApiCall, ApiReply, endpoint, json_response
from hitl_sandbox.clock import iso

PERMISSIONS = ["loops:read", "loops:write", "requests:read", "requests:write"]


async def test_key(call: ApiCall) -> ApiReply:
    rate_limit = {
        "limit": call.settings.rate_limit,
        "remaining": call.parts.rate_limiter.remaining(call.key),
        "reset_at": iso(call.parts.rate_limiter.resets_at()),
    }
    account = {
        "api_key_id": call.key.id,
        "user_id": call.key.user_id,
        "email": call.key.email,
        "account_status": "active",
        "rate_limit": rate_limit,
        "permissions": PERMISSIONS,
    }
    return ApiReply(msg="API key is valid", data=account)


async def health(request: Request) -> Response:
    return json_response({"error": False, "msg": "OK", "data": {"status": "ok"}})


routes = [Route("/test", endpoint(test_key)), Route("/health", health)]
