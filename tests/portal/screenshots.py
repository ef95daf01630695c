"""`python -m tests.portal.screenshots [NAME…]`: the pictures of the portal in docs/images, all or the named ones."""

import io
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from PIL import Image
from playwright.sync_api import Page, expect

from tests.portal.browser import PHONE, Pages, launched
from tests.portal.showcase import PASSWORD, seeded
from tests.rest_service import Service

FOLDER = Path(__file__).parents[2] / "docs" / "images"
MOST_BYTES = 250_000
TALLEST = 1700  # pixels: what is further down adds bytes, not insight
COLOURS = (256, 128, 64, 32)


def _nothing(_page: Page) -> None:
    pass


@dataclass(frozen=True, kw_only=True)
class Picture:
    """`path` may name jobs of the showcase in braces."""

    path: str
    dark: bool = False
    phone: bool = False
    operator: bool = False
    before: Callable[[Page], Any] = _nothing  # what somebody does on the page before it is shown
    tallest: int = TALLEST
    window: bool = False  # a window as tall as that, and what is in it; else all of the page, up to that


def _start_the_example(page: Page) -> None:
    page.get_by_label("Start from").select_option("example:digits_pytorch")
    expect(page.locator("#samples table")).to_be_visible()


PICTURES = {
    "sign_in": Picture(path="/sign-in", phone=True),
    "jobs": Picture(path="/jobs"),
    "jobs_phone": Picture(path="/jobs", phone=True, dark=True, tallest=1100),
    "new": Picture(path="/new", before=_start_the_example, window=True, tallest=1250),
    "job": Picture(path="/jobs/{running}"),
    "job_dark": Picture(path="/jobs/{big}", dark=True),
    "job_phone": Picture(path="/jobs/{running}", phone=True, tallest=1500),
    "trials": Picture(path="/jobs/{big}/trials?sort=best", tallest=1000),
    "curves": Picture(path="/jobs/{running}/curves"),
    "parameters": Picture(path="/jobs/{big}/parameters", tallest=1300),
    "front": Picture(path="/jobs/{front}/parameters", dark=True, tallest=1200),
    "slots": Picture(path="/jobs/{running}/slots", dark=True),
    "file": Picture(path="/jobs/{big}/file", tallest=1000),
    "trial": Picture(path="/jobs/{running}/trials/{trial}", tallest=2600),
    "compare": Picture(path="/compare?jobs={plain},{mixup}"),
    "algorithms": Picture(path="/algorithms", tallest=1000),
    "usage": Picture(path="/usage", tallest=1000),
    "access": Picture(path="/access"),
    "tenants": Picture(path="/tenants", operator=True),
    "pools": Picture(path="/pools", operator=True),
}


@contextmanager
def showcase(folder: Path) -> Iterator[tuple[Service, dict[str, str]]]:
    """The service, and what stands in braces."""
    service = Service(folder, max_upload_bytes=2**24)
    with service.served():
        jobs = seeded(service)
        named = {name: job for name, job in jobs.items() if name.isalpha() and name.isascii()}
        named |= {"plain": jobs["Digits: MobileNet baseline"], "mixup": jobs["Digits: MobileNet with mixup"]}
        yield service, named
    service.plugins.close()
    service.analysis.close()
    service.store.close()


def take(pages: Pages, service: Service, picture: Picture, named: dict[str, str]) -> bytes:
    """The page as it looks when all its charts are drawn: PNG."""
    options: dict[str, Any] = PHONE if picture.phone else {}
    if picture.window:
        options = {"viewport": {"width": 1280, "height": picture.tallest}}
    theme = "dark" if picture.dark else "light"
    page = pages.open(service.url, color_scheme=theme, locale="en-GB", **options)
    if picture.path != "/sign-in":
        who: dict[str, str] = {"tenant": "vision", "name": "ada", "password": PASSWORD}
        if picture.operator:
            who = {"key": service.operator_key}
        assert page.context.request.post(f"{service.url}/v1/session", data=who).ok
    page.goto(picture.path.format(**named))
    picture.before(page)
    for chart in page.locator("[data-chart]").all():
        if (chart.bounding_box() or {"y": 0})["y"] < picture.tallest:
            chart.scroll_into_view_if_needed()
            expect(chart).to_have_attribute("data-drawn", "1")
    page.evaluate("() => { scrollTo(0, 0); document.activeElement?.blur(); }")
    page.wait_for_load_state("load")
    height = min(picture.tallest, page.evaluate("() => document.documentElement.scrollHeight"))
    width = page.evaluate("() => innerWidth")
    return page.screenshot(full_page=not picture.window, clip={"x": 0, "y": 0, "width": width, "height": height})


def small(png: bytes) -> bytes:
    """The same with as many colours as may be."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    data = b""
    for colours in COLOURS:
        kept = io.BytesIO()
        image.quantize(colours, kmeans=3, dither=Image.Dither.NONE).save(kept, "PNG", optimize=True)
        data = kept.getvalue()
        if len(data) <= MOST_BYTES:
            break
    return data


def main() -> int:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    wanted = sys.argv[1:] or list(PICTURES)
    if unknown := set(wanted) - set(PICTURES):
        sys.exit(f"There is no {', '.join(unknown)}; there are {', '.join(PICTURES)}.")
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, showcase(Path(folder)) as (service, named), launched() as browser:
        print(f"seeded in {time.monotonic() - began:.0f} s")
        for name in wanted:
            pages = Pages(browser)
            png = small(take(pages, service, PICTURES[name], named))
            pages.close()
            path = FOLDER / f"portal_{name}.png"
            path.write_bytes(png)
            print(f"{path.relative_to(FOLDER.parents[1])}: {len(png) // 1000} kB")
            for problem in pages.watch.problems:
                print(f"  {problem}")
            if len(png) > MOST_BYTES:
                print("  larger than it should be")
    return 0


if __name__ == "__main__":
    sys.exit(main())
