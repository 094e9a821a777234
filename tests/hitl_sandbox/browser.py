"""A real browser, where there is one."""

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

ARGUMENTS = (
    # Every name leads to this machine: what a rebinding resolver answers once the page is loaded.
    "--host-resolver-rules=MAP *.example 127.0.0.1",
    # Older browsers have no checks of their own on the way to loopback.
    "--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def open_browser() -> Iterator[Browser]:
    """Skips without Chromium at home, fails without it in CI."""
    chromium = shutil.which("chromium")
    if chromium is None:
        missing = "No chromium on PATH: install it to run the browser tests"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        browser.close()
