"""A browser, pages in it that must not complain, and the service that they look at. CONTRIBUTING.md tells more."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page

from benchmarks.portal import seed
from tests.portal.browser import Pages, Watch, launched
from tests.rest_service import Service


# Not for the whole session: while Playwright runs, asyncio.run() fails in this thread, and other tests want it.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium for all tests of this folder."""
    with launched() as chromium:
        yield chromium


@pytest.fixture
def pages(browser: Browser) -> Iterator[Pages]:
    """Opens as many pages as wanted, each for a user of its own. The test fails when one of them complained."""
    opened = Pages(browser)
    yield opened
    opened.close()
    opened.watch.check()


@pytest.fixture
def watch(pages: Pages) -> Watch:
    """What the pages complained of; `watch.allow("status of 422")` for what the test wants to see."""
    return pages.watch


@dataclass
class Portal:
    """The service with its portal, quick ways to put into its store what pages shall show."""

    service: Service
    _running: ExitStack = field(default_factory=ExitStack)

    def start(self) -> None:
        """It answers; after `stop`, at the same address as before."""
        self._running.enter_context(self.service.served(urlsplit(self.url).port or 0))

    def stop(self) -> None:
        """Nothing answers, and all connections have ended."""
        self._running.close()

    @property
    def url(self) -> str:
        return self.service.url

    def sign_in(self, page: Page, who: str = "vision/member") -> Page:
        """The page's context has a session of this tenant's key, or "operator"'s, as if somebody had used the form."""
        key = self.service.operator_key if who == "operator" else self.service.keys[who]
        answer = page.context.request.post(f"{self.url}/v1/session", data={"key": key})
        assert answer.ok, answer.text()
        return page

    def seed_job(self, trials: int, points: int = 1, *, who: str = "vision/member", **options: Any) -> str:
        """A job with completed trials, straight into the tables: 100,000 measurements take a second. Its id.

        `options` as of benchmarks.portal.seed.seed_job: name, status, spec (changes of the job file), seed.
        """
        owner = self.service.principal(self.service.keys[who])
        return seed.seed_job(
            self.service.store.engine, owner.tenant_id, owner.key_id, trials=trials, points=points, **options
        )

    def seed_jobs(self, count: int, trials: int = 5, *, who: str = "vision/member") -> None:
        """So many ended jobs; a thousand take two seconds."""
        owner = self.service.principal(self.service.keys[who])
        seed.seed_jobs(self.service.store.engine, owner.tenant_id, owner.key_id, count=count, trials=trials)


@pytest.fixture
def portal(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Portal]:
    """The real service on a port of its own, on SQLite; trials move by rest_service.Driver, not by a controller."""
    opened: Pages | None = request.getfixturevalue("pages") if "pages" in request.fixturenames else None
    portal = Portal(Service(tmp_path))
    portal.start()
    try:
        yield portal
    finally:
        if opened is not None:
            opened.close()  # before the service: a page that is still open would complain of its end
        portal.stop()
        portal.service.close()


@pytest.fixture
def page(pages: Pages, portal: Portal) -> Page:
    """A page of a desktop's size on the portal, not signed in; addresses may be relative."""
    return pages.open(portal.url)
