"""What the two clients have in common: all but the carrying out of steps."""

import inspect
from typing import Any, Generic

from hitlsh.api.descriptors import Mode
from hitlsh.api.groups import ApiGroups
from hitlsh.api.http.credentials import check_base_url, check_key, check_prefix
from hitlsh.api.http.exchange import Exchange
from hitlsh.api.http.rate_limit import RateLimit
from hitlsh.api.http.retrying import RetryPolicy
from hitlsh.api.paging import PagedList


class ClientCore(ApiGroups[Mode], Generic[Mode]):
    """What both clients know and show."""

    def __init__(self, api_key: str, base_url: str, api_prefix: str, retries: RetryPolicy, budgeted: bool) -> None:
        super().__init__(self)
        self._key = check_key(api_key)
        self._base_url = check_base_url(base_url)
        self._exchange = Exchange(
            key=self._key,
            base_url=self._base_url,
            api_prefix=check_prefix(api_prefix),
            policy=retries,
            budgeted=budgeted,
        )

    @property
    def rate_limit(self) -> RateLimit | None:
        """The key's limit as of the last reply; None before the first."""
        return self._exchange.rate_limit

    def run(self, job: Any) -> Any:
        """Carry out an operation or a script; said in full by each client."""
        raise NotImplementedError

    def iterate(self, listing: PagedList[Any]) -> Any:
        """Go through a list; said in full by each client."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self._base_url!r}, api_key='***')"


async def maybe_await(answer: Any) -> Any:
    """A budget or a recorder may answer at once or after a round trip."""
    return await answer if inspect.isawaitable(answer) else answer
