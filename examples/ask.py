"""Ask a question whose answer the handlers get. Run it while `make run` runs in another terminal.

python examples/ask.py "May this post go live?"
"""

import sys

from redis import Redis

from hitlsh import single_select
from service.cli.environment import environment
from workers.asking import asking_client, callback_url
from workers.settings import Settings


def main(text: str) -> None:
    settings = Settings.from_env({"REDIS_URL": "redis://localhost:6379/0", **environment()})
    if settings.api_key is None or settings.public_url is None:
        sys.exit("HITL_API_KEY and HITL_PUBLIC_URL are not set: start `make run` in another terminal, or set them.")
    # The inbox tracks the request: if its webhook is lost, a reconcile run finds the decision.
    with Redis.from_url(settings.redis_url) as redis, asking_client(settings, redis) as client:
        loop = client.loops.list()[0]
        created = client.requests.create(
            loop.id,
            text,
            single_select("Publish", "Hold back", "Ask the author"),
            default_response="Hold back",
            timeout_seconds=600,
            # The state comes back with the decision, as decision.state.
            callback_url=callback_url(settings, {"post": "p-1881"}),
        )
    print(f"Asked in {loop.name!r}: request {created.request_id} is {created.status}.")
    print(f"Answer it at {settings.base_url.removesuffix('/v1')}/; the worker then runs examples/handlers.py.")


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]) or "May this post go live?")
