"""Chromium for tests, and what every page that is opened in it is held to."""

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    Route,
    expect,
    sync_playwright,
)

from tests.portal.install_browser import HELP, find_browser
from tests.waiting import PATIENCE_S

# Generous: only a test that fails waits so long.
TIMEOUT_MS = 20_000
PHONE = {"viewport": {"width": 375, "height": 740}, "has_touch": True, "is_mobile": True}
DESKTOP = {"viewport": {"width": 1280, "height": 800}}
_FLAGS = (
    "--no-sandbox",  # which root and most containers do not have
    "--disable-dev-shm-usage",  # containers have 64 MB there
    "--disable-gpu",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # nothing leaves this machine
)
_AXE = Axe()
_REPORT_VIOLATIONS = """
document.addEventListener('securitypolicyviolation', event =>
  console.error(`Content-Security-Policy: ${event.violatedDirective} forbids ${event.blockedURI} ${event.sample}`));
"""


@contextmanager
def launched(flags: Sequence[str] = ()) -> Iterator[Browser]:
    """A headless Chromium. While it is there, this thread has a running event loop, so asyncio.run() fails in it."""
    with sync_playwright() as playwright:
        path = find_browser(playwright.chromium.executable_path)
        if path is None:
            pytest.fail(HELP, pytrace=False)
        browser = playwright.chromium.launch(executable_path=path, args=[*_FLAGS, *flags])
        expect.set_options(timeout=TIMEOUT_MS)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Watch:
    """Sees what goes wrong in the pages of one test: errors in the console, exceptions, requests to other hosts."""

    problems: list[str] = field(default_factory=list)
    _allowed: list[re.Pattern[str]] = field(default_factory=list)

    def allow(self, pattern: str) -> None:
        """Problems that match this regular expression belong to the test: a refused request is an error to the console.

        For an answer with status 422 that is "status of 422". What was seen already counts, too.
        """
        self._allowed.append(re.compile(pattern))

    def over(self, context: BrowserContext) -> None:
        """From now on all pages of this context are watched."""
        context.add_init_script(_REPORT_VIOLATIONS)
        context.on("console", self._on_console)
        context.on("weberror", lambda event: self.problems.append(f"uncaught: {event.error}"))
        context.on("request", self._on_request)

    def check(self) -> None:
        """Fail the test for the first problems that it does not allow."""
        left = [text for text in self.problems if not any(pattern.search(text) for pattern in self._allowed)]
        if left:
            pytest.fail("The browser complained:\n" + "\n".join(f"- {text}" for text in left[:10]), pytrace=False)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.problems.append(f"console: {message.text} ({message.location.get('url', '')})")

    def _on_request(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme in {"http", "https", "ws", "wss"} and address.hostname != "127.0.0.1":
            self.problems.append(f"request to another host: {request.url}")


@dataclass
class Pages:
    """Opens pages, each in a context of its own: its own cookies, and so a user of its own."""

    browser: Browser
    watch: Watch = field(default_factory=Watch)
    _contexts: list[BrowserContext] = field(default_factory=list)

    def open(self, base_url: str = "", **options: Any) -> Page:
        """A blank page; `options` as of Browser.new_context: **PHONE, color_scheme="dark", locale …"""
        settings = {"reduced_motion": "reduce", "locale": "en-GB", "timezone_id": "UTC"} | DESKTOP | options
        context = self.browser.new_context(base_url=base_url, **settings)
        context.set_default_timeout(TIMEOUT_MS)
        self.watch.over(context)
        self._contexts.append(context)
        return context.new_page()

    def close(self) -> None:
        for context in self._contexts:
            context.close()
        self._contexts.clear()


class Held:
    """Requests that wait until the test lets them go on, in the order in which they were made."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._routes: list[Route] = []

    def hold(self, route: Route) -> None:
        """As `page.route` calls it."""
        self._routes.append(route)

    def at(self, place: int) -> Route:
        """That request, once it was made."""
        deadline = time.monotonic() + PATIENCE_S
        while len(self._routes) <= place:
            assert time.monotonic() < deadline, f"waited in vain for request {place}"
            self._page.wait_for_timeout(20)  # in which what the browser tells is heard
        return self._routes[place]


def held_back(page: Page, address: str) -> Held:
    """Requests for `address` come here."""
    held = Held(page)
    page.route(address, held.hold)
    return held


def check_accessibility(page: Page, *, within: str | None = None) -> None:
    """Fail the test for serious and critical findings of axe on the page as it is now, or in the part `within`."""
    violations = _AXE.run(page, context=within).response["violations"]
    grave = [found for found in violations if found["impact"] in {"serious", "critical"}]
    if grave:
        lines = [f"axe finds {len(grave)} grave problems on {page.url}:"]
        for found in grave:
            lines.append(f"- {found['id']} ({found['impact']}): {found['help']}")
            lines += [f"    {' '.join(node['target'])}: {node['html'][:160]}" for node in found["nodes"][:5]]
        pytest.fail("\n".join(lines), pytrace=False)
