"""Sends one message to Apprise URLs: a program of its own, which the messenger starts and may kill.

Apprise takes 45 MiB and two seconds to load, and its log may contain the secrets of a URL. Reads JSON from standard
input: `urls`, `title`, `body`, `kind`, and `seconds` (the time limit). Prints a line for each URL: its number, and
`sent`, `failed` or `invalid`. Without a title, it only says which URLs are `valid`.
"""

import json
import logging
import os
import sys
import threading
from typing import Any


def main() -> None:
    order = json.load(sys.stdin)
    logging.disable(logging.CRITICAL)
    threading.Timer(order["seconds"], os._exit, (1,)).start()
    threads = [
        threading.Thread(target=_handle, args=(number, url, order), daemon=True)
        for number, url in enumerate(order["urls"])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os._exit(0)


def _handle(number: int, url: str, order: dict[str, Any]) -> None:
    try:
        result = _send(url, order)
    except Exception:  # noqa: BLE001 - a plugin may raise anything; the text may contain a secret
        result = "failed"
    sys.stdout.write(f"{number} {result}\n")
    sys.stdout.flush()


def _send(url: str, order: dict[str, Any]) -> str:
    target = _target(url)
    if target is None:
        return "invalid"
    if not order["title"]:
        return "valid"
    is_sent = target.notify(order["body"], title=order["title"], notify_type=order["kind"], body_format="text")
    return "sent" if is_sent else "failed"


def _target(url: str) -> Any:
    import apprise

    asset = apprise.AppriseAsset(storage_mode="memory", app_id="hitl-receiver", app_desc="hitl-receiver", app_url="")
    with _loading:  # plugins load at the first use
        return apprise.Apprise.instantiate(url, asset=asset)


_loading = threading.Lock()

if __name__ == "__main__":
    main()
