"""Who is calling."""

from hitl_sandbox.errors import Refusal
from hitl_sandbox.model.ids import digest_id
from hitl_sandbox.model.records import Key
from hitl_sandbox.model.state import SandboxState


def identify_or_none(authorization: str | None, sandbox_state: SandboxState) -> Key | None:
    """The key, or None where `identify` refuses."""
    try:
        return identify(authorization, sandbox_state)
    except Refusal:
        return None


def identify(authorization: str | None, sandbox_state: SandboxState) -> Key:
    """The key of an Authorization header; unless keys were named at start, an unknown one is welcome."""
    if authorization is None:
        raise Refusal(401, "Missing Authorization header")
    scheme, _, token = authorization.partition(" ")
    if scheme != "Bearer":
        raise Refusal(401, "Invalid Authorization header format. Use 'Bearer <api_key>'")
    token = token.strip()
    if not token:
        raise Refusal(401, "Empty API key")
    key = sandbox_state.store.get(Key, digest_id(f"key:{token}"))
    if key is None and not sandbox_state.settings.keys:
        key = sandbox_state.add_key(token, f"owner-{digest_id(token)[:6]}@example.com")
    if key is None:
        raise Refusal(401, "Invalid API key")
    if not key.active:
        raise Refusal(401, "API key is inactive")
    return key
