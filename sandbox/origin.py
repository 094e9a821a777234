"""Keeping other web sites' pages from pressing our buttons."""

from starlette.requests import Request

from sandbox.errors import Refusal


def check_same_site(request: Request) -> None:
    """Browsers say where a request comes from; programs say nothing and are welcome."""
    if request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        raise Refusal(403, "Cross-site request refused", "use the sandbox's own page")
