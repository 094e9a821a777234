"""What ``GET /test`` tells about a key."""

from datetime import datetime

from hitlsh.api.resource import Resource


class CallQuota(Resource, frozen=True, kw_only=True):
    """The key's call limit as the body of ``/test`` states it."""

    limit: int | None = None
    remaining: int | None = None
    reset_at: datetime | None = None


class KeyTest(Resource, frozen=True, kw_only=True):
    """A valid key and whose it is."""

    api_key_id: str | None = None
    user_id: str | None = None
    email: str | None = None
    #: ``active``, ``suspended`` or ``inactive``; the documents disagree, so any word is kept.
    account_status: str | None = None
    rate_limit: CallQuota | None = None
    permissions: tuple[str, ...] = ()
