"""Sends messages to the URLs of HITL_ALERTS, in a process that is killed if it takes too long.

The URLs are secrets: they are sent through a pipe, and never logged.
"""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, cast, get_args

logger = logging.getLogger("hitl.alarms")

#: Seconds that sending may take, and checking.
SECONDS = 25.0
MessageKind = Literal["info", "success", "warning", "failure"]
#: What became of a message to one URL; `valid`: nothing was sent, and Apprise can use the URL.
Result = Literal["sent", "failed", "invalid", "timeout", "valid"]

_PROGRAM = Path(__file__).with_name("send_message.py")


def invalid_urls(urls: Sequence[str]) -> list[int]:
    """The numbers, from 1, of the URLs that Apprise cannot use. Takes two seconds."""
    results = send_each(urls, title="", body="", kind="info")
    return [number for number, result in enumerate(results, 1) if result == "invalid"]


def send(urls: Sequence[str], *, title: str, body: str, kind: MessageKind) -> bool:
    """Send to every URL; returns whether one of them accepted it. Takes `SECONDS` at the most."""
    results = send_each(urls, title=title, body=body, kind=kind)
    for number, (url, result) in enumerate(zip(urls, results, strict=True), 1):
        if result != "sent":
            logger.warning(
                "alarms.not_sent entry=%d of=%d scheme=%s result=%s: a message did not reach this entry of HITL_ALERTS",
                number, len(urls), scheme(url), result,
            )  # fmt: skip
    return "sent" in results


def scheme(url: str) -> str:
    """The part of a URL that may be shown."""
    return url.partition("://")[0]


def send_each(urls: Sequence[str], *, title: str, body: str, kind: MessageKind) -> list[Result]:
    """Send to every URL; returns a result for each. Without a title, nothing is sent and the URLs are checked."""
    order = {"urls": list(urls), "title": title, "body": body, "kind": kind, "seconds": SECONDS}
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("HITL_", "REDIS_"))}
    command = [sys.executable, "-P", str(_PROGRAM)]
    try:
        run = subprocess.run(  # noqa: S603 - our own program
            command, input=json.dumps(order), env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, timeout=SECONDS + 1, check=False,
        )  # fmt: skip
        output = run.stdout
    except subprocess.TimeoutExpired as error:
        output = (error.stdout or b"").decode()
    except OSError as error:
        logger.warning("alarms.not_started error=%s: the program that sends could not be started", error.strerror)
        output = ""
    results: list[Result] = ["timeout"] * len(urls)
    for line in output.splitlines():
        number, _, result = line.partition(" ")
        if number.isdecimal() and int(number) < len(urls) and result in get_args(Result):  # a plugin may print too
            results[int(number)] = cast("Result", result)
    return results
