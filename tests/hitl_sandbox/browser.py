"""A real browser, where there is one."""

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def open_browser(*arguments: str) -> Iterator[Browser]:
    """Skips without Chromium at home, fails without it in CI. `arguments`: for Chromium, beside the usual ones."""
    chromium = shutil.which("chromium")
    if chromium is None:
        missing = "No chromium on PATH: install it to run the browser tests"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=[*ARGUMENTS, *arguments])
        yield browser
        browser.close()
