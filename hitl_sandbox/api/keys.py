"""API keys of callers."""

from hitl_sandbox.errors import Refusal
from hitl_sandbox.model.ids import digest_id
from hitl_sandbox.model.records import ApiKey
from hitl_sandbox.model.state import SandboxState


def identify_or_none(authorization: str | None, state: SandboxState) -> ApiKey | None:
    """Read the key of an Authorization header; None when `identify` raises."""
    try:
        return identify(authorization, state)
    except Refusal:
        return None


def identify(authorization: str | None, state: SandboxState) -> ApiKey:
    """Read the key of an Authorization header; an unknown one is accepted unless keys were named at start."""
    if authorization is None:
        raise Refusal(401, "Missing Authorization header")
    scheme, _, token = authorization.partition(" ")
    if scheme != "Bearer":
        raise Refusal(401, "Invalid Authorization header format. Use 'Bearer <api_key>'")
    token = token.strip()
    if not token:
        raise Refusal(401, "Empty API key")
    key = state.store.get(ApiKey, digest_id(f"key:{token}"))
    if key is None and not state.settings.keys:
        key = state.add_key(token, f"owner-{digest_id(token)[:6]}@example.com")
    if key is None:
        raise Refusal(401, "Invalid API key")
    if not key.active:
        raise Refusal(401, "API key is inactive")
    return key
