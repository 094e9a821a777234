"""The reply of ``GET /test`` (https://docs.hitl.sh, "Authentication")."""

from datetime import datetime

from hitlsh.api.resource import Resource


class CallQuota(Resource, frozen=True, kw_only=True):
    """The call limit of an API key, as the body of ``/test`` has it."""

    limit: int | None = None
    remaining: int | None = None
    reset_at: datetime | None = None


class KeyTest(Resource, frozen=True, kw_only=True):
    """A valid API key and its owner."""

    api_key_id: str | None = None
    user_id: str | None = None
    email: str | None = None
    #: ``active``, ``suspended`` or ``inactive``; the pages disagree, so every word is kept.
    account_status: str | None = None
    rate_limit: CallQuota | None = None
    permissions: tuple[str, ...] = ()
