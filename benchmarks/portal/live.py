"""A page that stays open while trials end: how soon it shows them, what an update costs it, and whether it grows."""

import statistics
import time
from collections.abc import Callable

from playwright.sync_api import Browser, Page
from playwright.sync_api import TimeoutError as TooLate

from benchmarks.portal.pages import Target
from benchmarks.portal.servers import Server
from benchmarks.portal.visits import Figures, heap_mib, visit

_SHOWN_WITHIN_S = 30
_LOOK = """(condition) => {
  window.__seen = 0;
  const look = () => {
    if (condition()) requestAnimationFrame(() => { window.__seen = Date.now(); });
    else setTimeout(look, 10);
  };
  look();
}"""


class Step:
    """Does one thing that pages show, and says by which JavaScript expression a page tells that it shows it."""

    def __init__(self, act: Callable[[], str | None]) -> None:
        self._act = act

    def __call__(self) -> tuple[float, str | None]:
        """Seconds since the epoch when it was stored, and the expression."""
        shown = self._act()
        return time.time(), shown


def follow(browser: Browser, server: Server, target: Target, step: Step, *, updates: int, limit_s: float) -> Figures:
    """Figures of a page over so many updates, about one a second."""
    context = browser.new_context()
    server.sign_in(context.request)
    try:
        page, first = visit(context, server.url, target, limit_s)
        if first["useful_ms"] is None:
            return {"updates": 0, "note": f"the page was not there within {limit_s:g} s"}
        page.wait_for_timeout(2000)
        before = {"heap_mib": heap_mib(page), "server_rss_mib": server.rss_mib()}
        page.evaluate("() => { window.__long.length = 0; }")
        delays = [_seconds_until_shown(page, step) for _ in range(min(updates, 10))]
        done = len(delays)
        while done < updates:
            started = time.monotonic()
            step()
            done += 1
            page.wait_for_timeout(max(0.0, 1000 - 1000 * (time.monotonic() - started)))
        page.wait_for_timeout(2000)
        seen = [delay for delay in delays if delay is not None]
        return {
            "updates": done,
            "shown_after_s": round(statistics.median(seen), 3) if len(seen) == len(delays) and seen else None,
            "shown_after_s_most": round(max(seen), 3) if seen else None,
            "never_shown": len(delays) - len(seen),
            "longest_task_ms": page.evaluate("() => Math.max(0, ...window.__long)"),
            "update_ms": _median_of_measures(page),
            "before": before,
            "after": {"heap_mib": heap_mib(page), "server_rss_mib": server.rss_mib()},
        }
    finally:
        context.close()


def _seconds_until_shown(page: Page, step: Step) -> float | None:
    """None: not within half a minute."""
    stored, shown = step()
    # The page may have it already, before it is asked: then this is an upper bound by some milliseconds.
    page.evaluate(f"() => ({_LOOK})(() => ({shown}))")
    try:
        page.wait_for_function("() => window.__seen", timeout=_SHOWN_WITHIN_S * 1000)
    except TooLate:
        return None
    finally:
        page.wait_for_timeout(500)
    seen: float = page.evaluate("() => window.__seen")
    return max(0.0, seen / 1000 - stored)


def _median_of_measures(page: Page) -> float | None:
    """Milliseconds from asking for the changed parts until they are on the page, as our pages measure themselves."""
    found = page.evaluate("() => performance.getEntriesByName('portal:update').map((e) => e.duration)")
    return round(statistics.median(found), 1) if found else None
