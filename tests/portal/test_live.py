"""Pages keep themselves up to date, and what their readers do in them stays."""

import threading
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from playwright.sync_api import Page, Request, Route, expect

import tuning_service.portal
from tests.portal.browser import Pages
from tests.rest_service import running
from tuning_service.domain.state import JobStatus
from tuning_service.portal.rendered import Rendered

BENCH = '<!doctype html><title>Bench</title><link rel="icon" href="data:,"><main id="main" tabindex="-1"></main>'

# -- morph: what is there becomes what is wanted, with the fewest changes


@pytest.fixture
def bench(pages: Pages) -> Page:
    """A page in which `morphed` finds a place of its own; it needs no service."""
    script = Path(tuning_service.portal.__file__).parent / "static" / "morph.js"
    page = pages.open("http://127.0.0.1:9")
    page.route("**/*", lambda route: route.fulfill(status=200, content_type="text/html", body=BENCH))
    page.route("**/morph.js", lambda route: route.fulfill(status=200, path=script, content_type="text/javascript"))
    page.goto("/")
    return page


def morphed(page: Page, before: str, after: str, *, doing: str = "") -> str:
    """What the HTML `before` has become after `doing` something in it and a morph to `after`."""
    page.evaluate(
        """async ([before, after, doing]) => {
            const { morph } = await import('/morph.js');
            const box = document.createElement('div');
            box.id = 'bench';
            document.getElementById('main').append(box);
            box.innerHTML = before;
            for (const step of doing.split(';').filter(Boolean)) {
                const [kind, what, value] = step.split(' ');
                const item = box.querySelector(what);
                if (kind === 'focus') item.focus();
                if (kind === 'tick') item.checked = true;
                if (kind === 'open') item.open = true;
                if (kind === 'type') item.value = value;
                if (kind === 'scroll') item.scrollTop = Number(value);
                if (kind === 'mark') item.mark = value;
            }
            const next = document.createElement('div');
            next.id = 'bench';
            next.innerHTML = after;
            morph(box, next);
        }""",
        [before, after, doing],
    )
    return str(page.evaluate("document.getElementById('bench').innerHTML"))


def rows(*names: str) -> str:
    cells = (f'<tr id="{name}"><td><button id="b-{name}">{name}</button></td></tr>' for name in names)
    return f"<table><tbody>{''.join(cells)}</tbody></table>"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<p>a</p>", "<p>b</p>"),
        ("<p>a</p>text", "text<p>a</p><!-- c --><p>b</p>"),
        ("<p class='x' title='y'>a</p>", "<p class='z'>a</p>"),
        ("<p id='a'>a</p><p id='b'>b</p>", "<p id='b'>b</p><p id='a'>a</p>"),
        ("<p id='a'>a</p>", "<div id='a'><p id='b'>b</p></div>"),
        (rows("a", "b", "c", "d"), rows("d", "x", "b", "e", "a")),
        (rows("a", "b"), rows()),
        ("<ul><li>1<li>2<li>3</ul>", "<ul><li>2</ul><svg viewBox='0 0 1 1'><path d='M0 0'/></svg>"),
    ],
)
def test_it_becomes_what_is_wanted(bench, before, after):
    wanted = bench.evaluate(
        "text => { const box = document.createElement('div'); box.innerHTML = text; return box.innerHTML }", after
    )
    assert morphed(bench, before, after) == wanted


@pytest.mark.parametrize(
    "after",
    [("new", "a", "b", "c"), ("b", "c"), ("c", "b", "a"), ("b",), ("x", "b", "a", "y", "c")],
)
def test_focus_stays_on_its_row_however_rows_come_and_go(bench, after):
    morphed(bench, rows("a", "b", "c"), rows(*after), doing="focus #b-b;mark #b-b same")
    assert bench.evaluate("[document.activeElement.id, document.activeElement.mark]") == ["b-b", "same"]


def test_focus_on_what_goes_moves_to_the_page_and_is_not_lost(bench):
    morphed(bench, rows("a", "b"), rows("b"), doing="focus #b-a")
    assert bench.evaluate("document.activeElement.id") == "main"


def test_what_a_reader_did_stays(bench):
    before = (
        '<input type="checkbox" id="tick"><details id="more"><summary>More</summary>text</details>'
        '<input id="field" value="a"><div id="list" style="height:50px;overflow:auto">'
        '<p style="height:500px">x</p></div>'
    )
    after = before.replace("text", "other text").replace('value="a"', 'value="b"').replace(">x<", ">y<")
    html = morphed(bench, before, after, doing="tick #tick;open #more;focus #field;type #field mine;scroll #list 80")
    assert "other text" in html
    assert bench.evaluate("[tick.checked, more.open, field.value, window.list.scrollTop]") == [True, True, "mine", 80]


def test_what_a_script_keeps_gets_its_data_and_nothing_else(bench):
    before = '<figure id="f" data-keep="" data-source="/a" class="mine"><p>drawn</p></figure>'
    after = '<figure id="f" data-keep="" data-source="/b" class="theirs"></figure>'
    assert morphed(bench, before, after) == before.replace("/a", "/b")


# -- the stream, and what it moves


class Traffic:
    """What a page asks for."""

    def __init__(self, page: Page) -> None:
        self.streams = 0
        self.closed = 0
        self.updates: list[int] = []
        page.on("request", self._began)
        page.on("requestfailed", self._failed)
        page.on("response", lambda r: self.updates.append(r.status) if "x-live" in r.request.headers else None)

    def _began(self, request: Request) -> None:
        self.streams += "/live/" in request.url

    def _failed(self, request: Request) -> None:
        self.closed += "/live/" in request.url


def seen(page: Page, *, hidden: bool) -> None:
    page.evaluate(
        """hidden => { Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
        document.dispatchEvent(new Event('visibilitychange')); }""",
        hidden,
    )


def test_a_page_has_one_stream_while_it_is_seen_and_catches_up_afterwards(pages, portal):
    job = running(portal.service)
    page = portal.sign_in(pages.open(portal.url))
    traffic = Traffic(page)
    page.goto("/jobs")
    expect(page.locator("#live-state")).to_have_text("Live")
    assert traffic.streams == 1
    seen(page, hidden=True)
    with page.expect_response(lambda answer: "x-live" in answer.request.headers):
        job.set_status(JobStatus.COMPLETED)
        seen(page, hidden=False)
    expect(page.locator("main")).to_contain_text("completed")
    expect(page.locator("#live-state")).to_have_text("Live")
    assert (traffic.streams, traffic.closed) == (2, 1)


def test_an_update_that_changes_nothing_moves_nothing(pages, portal):
    job = running(portal.service)
    job.add_trial(0).complete(0.5)
    other = job.add_trial(1)
    other.claim()
    page = portal.sign_in(pages.open(portal.url))
    traffic = Traffic(page)
    page.goto(f"/jobs/{job.job_id}/trials/0")
    expect(page.locator("#live-state")).to_have_text("Live")
    with page.expect_response(lambda answer: "x-live" in answer.request.headers):
        other.report((1, "val_accuracy", 0.25))
    with page.expect_response(lambda a: "x-live" in a.request.headers and a.status == 304):
        other.report((2, "val_accuracy", 0.26))
    assert traffic.streams == 1


def test_a_page_that_is_as_new_as_what_it_shows_is_not_fetched_again(pages, portal):
    page = portal.sign_in(pages.open(portal.url))
    job = f"/jobs/{portal.seed_job(5)}"
    for path in ("/jobs", job, f"{job}/trials", f"{job}/trials/0", f"{job}/parameters", f"{job}/slots"):
        with page.expect_response(lambda answer: "x-live" in answer.request.headers) as asked:
            page.goto(path)
        assert (path, asked.value.status) == (path, 304)


class Tries:
    """When a page asked for its block, and for its stream, by a clock that the test moves on."""

    SCRIPT = """
        window.tries = { block: [], stream: [] };
        const [plainFetch, PlainSource] = [window.fetch, window.EventSource];
        window.fetch = (where, how) => {
            if (how?.headers?.['X-Live']) window.tries.block.push(performance.now());
            return plainFetch(where, how);
        };
        window.EventSource = class extends PlainSource {
            constructor(where) { super(where); window.tries.stream.push(performance.now()); }
        };
    """

    def __init__(self, page: Page, what: str) -> None:
        page.clock.install()
        page.add_init_script(self.SCRIPT)
        self._page, self._what = page, what

    def gaps_ms(self, count: int) -> list[float]:
        """Between the last tries, once there are so many more than now."""
        before = len(self._times())
        while len(self._times()) < before + count + 1:
            self._page.clock.run_for(100)
        times = self._times()[before : before + count + 1]
        return [later - earlier for earlier, later in pairwise(times)]

    def _times(self) -> list[float]:
        found: list[float] = self._page.evaluate("what => window.tries[what]", self._what)
        return found


def test_an_answer_that_fails_is_asked_for_again_but_not_in_a_storm(pages, portal, watch):
    watch.allow("status of 503")
    job = running(portal.service)
    page = portal.sign_in(pages.open(portal.url))
    tries = Tries(page, "block")
    page.goto(f"/jobs/{job.job_id}")
    expect(page.locator("#live-state")).to_have_text("Live")
    broken = True

    def answer(route: Route) -> None:
        if broken and "x-live" in route.request.headers:
            route.fulfill(status=503, body="")
        else:
            route.continue_()

    page.route(f"**/jobs/{job.job_id}", answer)
    job.add_trial(0).complete(0.75)
    expect(page.locator("#live-state")).to_have_text("Reconnecting…")
    other = portal.sign_in(pages.open(portal.url))
    other.goto(f"/jobs/{job.job_id}")
    expect(other.locator("#job-head")).to_contain_text("0.75")
    page.clock.run_for(500)  # by now all has been told that there is, and what was asked because of it
    first, second = tries.gaps_ms(2)
    assert second > first >= 500
    broken = False
    page.clock.run_for(8000)
    expect(page.locator("#job-head")).to_contain_text("0.75")
    expect(page.locator("#live-state")).to_have_text("Live")


def test_a_stream_that_always_breaks_is_tried_ever_more_rarely(pages, portal, watch):
    watch.allow("status of 500")
    job = running(portal.service)
    page = portal.sign_in(pages.open(portal.url))
    tries = Tries(page, "stream")
    page.route("**/live/**", lambda route: route.fulfill(status=500, body=""))
    page.goto(f"/jobs/{job.job_id}")
    gaps = tries.gaps_ms(2)
    assert gaps == sorted(gaps)
    assert gaps[0] >= 500
    assert gaps[-1] >= 2 * 500
    job.add_trial(0).complete(0.75)
    page.unroute("**/live/**")
    page.clock.run_for(8000)
    expect(page.locator("#job-head")).to_contain_text("0.75")


def test_a_job_that_is_deleted_is_told_once(pages, portal, watch):
    watch.allow("status of 404")
    job = running(portal.service)
    page = portal.sign_in(pages.open(portal.url))
    page.goto(f"/jobs/{job.job_id}")
    expect(page.locator("#live-state")).to_have_text("Live")
    job.delete()
    page.evaluate("document.dispatchEvent(new Event('portal:refresh'))")
    expect(page.get_by_role("alert").filter(has_text="was deleted")).to_have_count(1)
    expect(page.locator("#live-state")).to_have_text("Deleted")


# -- what was rendered for one is shown to others


def view_of(path: str = "/jobs", tenant: str = "t1", role: str = "member") -> Any:
    url = SimpleNamespace(path=path, query="")
    principal = SimpleNamespace(tenant=SimpleNamespace(id=tenant), role=role)
    return SimpleNamespace(principal=principal, request=SimpleNamespace(url=url))


def test_who_watches_the_same_shares_what_was_rendered_and_nobody_else_does():
    rendered = Rendered()
    count = iter(range(100))

    def got(version: str, **changes: Any) -> str:
        return rendered.get(view_of(**changes), version, lambda: str(next(count)))

    assert [got("7"), got("7"), got("8")] == ["0", "0", "1"]
    assert [got("7", tenant="t2"), got("7", role="viewer"), got("7", path="/x")] == ["2", "3", "4"]
    # What is no version is no reason to keep anything.
    assert [got(""), got(""), got("x" * 8000), got("9" * 30)] == ["5", "6", "7", "8"]


def test_nothing_is_left_behind_of_what_was_shared():
    rendered = Rendered()
    for version in range(50):
        for _ in range(3):
            rendered.get(view_of(), str(version), lambda: "text")
    with pytest.raises(ValueError, match="broken"):
        rendered.get(view_of(), "99", _broken)
    assert rendered._rendering == {}


def _broken() -> str:
    raise ValueError("broken")


def test_many_who_ask_at_once_have_it_rendered_once():
    rendered = Rendered()
    began, go = threading.Barrier(5), threading.Event()
    made: list[str] = []

    def render() -> str:
        go.wait(10)
        made.append("x")
        return "text"

    def ask() -> None:
        began.wait(10)
        rendered.get(view_of(), "1", render)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    began.wait(10)
    go.set()
    for thread in threads:
        thread.join(10)
    assert made == ["x"]
    assert rendered.get(view_of(), "1", render) == "text"
