"""One visit of a page, with nothing in the browser's cache: how soon it is of use, and what it moves."""

import statistics
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page
from playwright.sync_api import TimeoutError as TooLate

from benchmarks.portal.pages import Target
from benchmarks.portal.servers import Server

Figures = dict[str, Any]

# Looks every 20 ms. Once the next frame is made, what was found is on the screen.
_MARKS = """(() => {
  const conditions = { useful: () => (%s), drawn: () => (%s) };
  window.__marks = {};
  const look = () => {
    for (const [name, holds] of Object.entries(conditions)) {
      let held = false;
      try { held = !!holds(); } catch {}
      if (!held) continue;
      delete conditions[name];
      requestAnimationFrame(() => setTimeout(() => { window.__marks[name] = performance.now(); }));
    }
    if (Object.keys(conditions).length) setTimeout(look, 20);
  };
  look();
  window.__long = [];
  new PerformanceObserver((list) => window.__long.push(...list.getEntries().map((e) => e.duration)))
    .observe({ type: 'longtask', buffered: true });
})()"""
_FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"


def visit(context: BrowserContext, url: str, target: Target, limit_s: float) -> tuple[Page, Figures]:
    """The page, still open, and its figures: milliseconds since the navigation began, None for what was too late."""
    page = context.new_page()
    page.set_default_timeout(limit_s * 1000)
    network = context.new_cdp_session(page)
    network.send("Network.enable")
    moved: list[float] = []
    network.on("Network.loadingFinished", lambda event: moved.append(event["encodedDataLength"]))
    page.add_init_script(_MARKS % (target.useful, target.drawn or "true"))
    page.goto(url + target.path, wait_until="commit")
    try:
        page.wait_for_function("() => window.__marks?.useful && window.__marks?.drawn")
        page.wait_for_timeout(500)  # what else it loads
    except TooLate:
        pass
    marks = page.evaluate("() => window.__marks")
    painted = page.evaluate(_FIRST_PAINT)
    return page, {
        # Chromium's own time of the first paint is that of the screen, so nothing was of use before it.
        "useful_ms": max(marks["useful"], painted or 0.0) if "useful" in marks else None,
        "chart_ms": marks.get("drawn") if target.drawn else None,
        "first_contentful_paint_ms": painted,
        "bytes": sum(moved),
        "requests": len(moved),
        "heap_mib": heap_mib(page),
        "longest_task_ms": page.evaluate("() => Math.max(0, ...window.__long)"),
    }


def cold_visits(browser: Browser, server: Server, target: Target, *, count: int, limit_s: float) -> Figures:
    """Medians over `count` visits, each in a context of its own. A page that is late once is not asked again."""
    seen: list[Figures] = []
    for _ in range(count):
        context = browser.new_context()
        server.sign_in(context.request)
        seen.append(visit(context, server.url, target, limit_s)[1])
        context.close()
        if seen[-1]["useful_ms"] is None:
            break
    return {"visits": len(seen), "limit_s": limit_s} | {name: _median([v[name] for v in seen]) for name in seen[0]}


def heap_mib(page: Page) -> float:
    """JavaScript's memory after the garbage was collected."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    used: float = session.send("Runtime.getHeapUsage")["usedSize"]
    session.detach()
    return used / 2**20


def _median(values: list[Any]) -> float | None:
    """None when one of them is: the page was late then."""
    return None if None in values else round(statistics.median(values), 1)
