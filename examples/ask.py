"""Ask a person a question; the handlers get the answer. With `make run` in another terminal, just run it.

python examples/ask.py "May this post go live?"
"""

import sys

from hitlsh import Client, single_select
from hitlsh.callbacks import CallbackSigner
from service.environment import environment
from workers.settings import Settings


def main(text: str) -> None:
    settings = Settings.from_env({"REDIS_URL": "redis://unused", **environment()})
    if settings.api_key is None or settings.public_url is None:
        sys.exit("HITL_API_KEY and HITL_PUBLIC_URL are not set: start `make run` in another terminal, or set them.")
    signer = CallbackSigner(settings.callback_secrets)
    # The state comes back with the decision, as decision.state.
    callback_url = signer.url(settings.public_url, signer.mint({"post": "p-1881"}))
    with Client(settings.api_key, base_url=settings.base_url) as client:
        loop = client.loops.list()[0]
        created = client.requests.create(
            loop.id,
            text,
            single_select("Publish", "Hold back", "Ask the author"),
            default_response="Hold back",
            timeout_seconds=600,
            callback_url=callback_url,
        )
    print(f"asked in {loop.name!r}: request {created.request_id} is {created.status}")
    print(f"answer it at {settings.base_url.removesuffix('/v1')}/ - the worker then runs examples/handlers.py")


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]) or "May this post go live?")
