"""The checks of the public address."""

import httpx

from hitlsh.api.http import http_transport
from service.doctor.findings import Finding, error, ok, warning

#: Seconds to wait for an answer: HITL.sh waits no longer (https://docs.hitl.sh, "Webhooks").
SECONDS = 10.0


def address_finding(public_url: str | None) -> Finding:
    """GET a path that no counter counts."""
    check = "address.reachable"
    if public_url is None:
        return warning(
            check,
            "HITL_PUBLIC_URL is not set: no callback URL can be made, so that nothing can be asked.",
            "Set it to the address under which HITL.sh reaches `hitl-receiver serve`.",
        )
    options = http_transport.options(public_url, SECONDS)
    try:
        with httpx.Client(**options) as client:
            reply = client.get(f"{public_url}/health/ready")
    except (*http_transport.NO_REPLY, httpx.InvalidURL) as failure:
        return error(
            check,
            f"{public_url} does not answer ({type(failure).__name__}: {failure}).",
            "See that `hitl-receiver serve` runs, and check the proxy in front: name, certificate, port and firewall.",
        )
    if reply.is_redirect:
        return warning(
            check,
            f"{public_url} redirects to {reply.headers.get('location', 'nowhere')}.",
            "Set HITL_PUBLIC_URL to the address that it leads to: HITL.sh does not say that it follows redirects.",
        )
    if reply.status_code >= 500:
        return error(
            check,
            f"{public_url}/health/ready answers {reply.status_code}: deliveries are refused.",
            "See the log of `hitl-receiver serve`, and that the proxy in front finds it.",
        )
    if reply.status_code == 200 and reply.text.strip() == "ready":
        return ok(check, f"{public_url} answers that it is ready.")
    return ok(
        check,
        f"{public_url} answers {reply.status_code} for /health/ready, which a proxy may keep to itself. Whether it is "
        "this receiver, `hitl-receiver doctor --prove` tells.",
    )
