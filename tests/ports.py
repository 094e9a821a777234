"""Ports for the servers of tests."""

import os
import random
import socket
from contextlib import suppress


def free_port() -> int:
    """At random below the ephemeral range; each of pytest-xdist's workers has ports of its own."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 14
    for port in random.sample(range(18_000 + worker, 32_000, 14), 50):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("none of 50 ports is free")
