"""The common part of the two clients: everything but the execution of steps."""

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
    """The configuration of a client and its calls."""

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
        """The call limit of the API key as of the last reply; None before the first."""
        return self._exchange.rate_limit

    def run(self, job: Any) -> Any:
        """Execute an operation or a script; each client implements it."""
        raise NotImplementedError

    def iterate(self, listing: PagedList[Any]) -> Any:
        """Iterate over a list; each client implements it."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self._base_url!r}, api_key='***')"


async def maybe_await(value: Any) -> Any:
    """Return the value, awaited if it is awaitable: budgets and recorders may be either."""
    return await value if inspect.isawaitable(value) else value
