"""A headless Chromium for tests of pages: `opened_page`, and `served` for the pages' files."""

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import ConsoleMessage, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
INSTALL = "apt-get install chromium, or playwright install chromium, or set CHROME_BIN"
TIMEOUT = 120_000
"""ms that a busy machine may take for anything."""


@contextmanager
def opened_page() -> Iterator[tuple[Page, list[str]]]:
    """A page 1280 by 800, without the Internet, and the list of what goes wrong in it.

    ``$CHROME_BIN``, or a Chromium on the PATH, or Playwright's own; where there is none the test is
    skipped.
    """
    found = os.environ.get("CHROME_BIN") or next(filter(None, map(shutil.which, NAMES)), None)
    with sync_playwright() as playwright:
        if found is None and not Path(playwright.chromium.executable_path).exists():
            pytest.skip(f"no Chromium: {INSTALL}")
        browser = playwright.chromium.launch(
            executable_path=found,
            args=["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
            timeout=TIMEOUT,
        )
        try:
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.set_default_timeout(TIMEOUT)
            problems: list[str] = []
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.on("requestfailed", lambda request: problems.append(f"{request.url} failed"))
            page.on("console", lambda message: problems.extend(_errors(message)))
            yield page, problems
        finally:
            browser.close()


def _errors(message: ConsoleMessage) -> list[str]:
    return [f"{message.location['url']}: {message.text}"] if message.type == "error" else []


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address at which the files of ``folder`` are served, on this machine alone."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
