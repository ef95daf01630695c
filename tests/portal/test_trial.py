"""The page of one trial, as who wants to know how it went sees it."""

import re
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import update

from tests.portal.browser import PHONE, Pages, check_accessibility
from tests.portal.conftest import Portal
from tests.rest_service import Driver, Run, Service, running
from tuning_service.domain.ids import new_id
from tuning_service.domain.resources import ResourceSample, ResourceUse
from tuning_service.domain.state import TaskStatus, TrialStatus
from tuning_service.domain.trial import FaultKind, Outcome, TuningTask
from tuning_service.runner.protocol import Report
from tuning_service.storage.tables import tuning_tasks


def ended(run: Run, status: TrialStatus, outcome: Outcome | None = None, **changes: Any) -> None:
    """The execution ends so, and the controller draws this conclusion."""
    if outcome is not None:
        assert run.report(outcome=outcome).status_code == 200
    trial = replace(run.trial, status=status, ended_at=time.time(), **changes)
    run.driver._write(lambda control: control.set_trial(trial, time.time(), settled=trial.number))


def next_execution(run: Run, outcome: Outcome, number: int) -> Run:
    """The cluster loses the execution, and the trial gets another one."""
    now = time.time()
    task_id = new_id("task")

    def act(control: Any) -> None:
        lost = next(task for task in control.open_work(run.driver.job_id).tasks if task.id == run.task_id)
        assert control.end_task(lost, outcome, now)
        control.settle(lost)
        control.add_tasks([replace(_fresh(lost), id=task_id, handle=task_id, number=number, created_at=now)])

    run.driver._write(act)
    return Run(run.driver, run.trial, task_id)


def _fresh(task: TuningTask) -> TuningTask:
    return replace(task, status=TaskStatus.CREATED, attempt=-1, host="", claimed_at=None, ended_at=None, log_bytes=0)


def long_log(service: Service, run: Run, text: bytes) -> None:
    """What so long a training would have printed."""
    tenant = service.principal().tenant_id
    service.artifacts.put_log(tenant, run.driver.job_id, run.task_id, 0, text)
    with service.store.engine.begin() as connection:
        connection.execute(update(tuning_tasks).where(tuning_tasks.c.id == run.task_id).values(log_bytes=len(text)))
    run.log_bytes = len(text)


@pytest.fixture
def opened(pages: Pages, portal: Portal) -> Callable[..., Page]:
    """Opens the page of a trial for somebody who has signed in."""

    def open_page(job: Driver, number: int, who: str = "vision/member", **options: Any) -> Page:
        page = portal.sign_in(pages.open(portal.url, **options), who)
        page.goto(f"/jobs/{job.job_id}/trials/{number}")
        return page

    return open_page


def drawn(page: Page, chart: str) -> None:
    figure = page.locator(f"#chart-{chart}")
    figure.scroll_into_view_if_needed()
    expect(figure).to_have_attribute("data-drawn", re.compile(r"[1-9]"))


def log_of(page: Page) -> str:
    return page.locator("#log-text").evaluate("box => [...box.children].map(part => part.textContent).join('')")


def test_a_trial_waits_trains_and_ends_before_its_readers_eyes(opened, portal):
    job = running(portal.service)
    before = job.add_trial(0)
    before.complete(0.75)
    measured = {"val_accuracy": 0.75, "loss": 2.0}
    ended(before, TrialStatus.COMPLETED, value=0.75, values={"val_accuracy": 0.75}, metrics=measured)
    run = job.add_trial(1, {"lr": 0.2, "optimizer": "sgd", "momentum": 0.5})
    page = opened(job, 1)
    expect(page.locator("#waiting")).to_contain_text("Waits for a free slot")
    expect(page.locator("#log-state")).to_have_text("Nothing printed yet.")
    expect(page.locator("#live-state")).to_have_text("Live")
    run.claim()
    expect(page.locator("#trial-tasks")).to_contain_text("worker-1")
    expect(page.locator("#waiting")).to_have_count(0)
    run.report((1, "val_accuracy", 0.5), (1, "loss", 1.5), log="epoch 1\n")
    expect(page.locator("#log-text")).to_contain_text("epoch 1")
    drawn(page, "curves")
    expect(page.locator("#chart-curves .legendtext")).to_have_text(["This trial, 1", "The best, trial 0"])
    page.get_by_label("Metric").select_option("loss")
    expect(page.locator("#chart-curves .ytitle")).to_have_text("loss")
    facts = page.locator("#trial-facts")
    expect(facts).to_contain_text("so far 0.5")
    run.report((2, "val_accuracy", 0.8), log="epoch 2\n")
    expect(facts).to_contain_text("so far 0.8")
    expect(facts).to_contain_text("loss, last1.5")
    expect(page.locator("#log-text")).to_have_text("epoch 1\nepoch 2\n")
    run.finish(0.8)
    expect(page.locator("h1")).to_have_text("Trial 1 completed best so far")
    expect(page.locator("#log-state")).to_contain_text("complete")
    expect(page.get_by_role("button", name="Stop this trial")).to_have_count(0)
    expect(page.get_by_role("link", name="Next trial")).to_have_count(0)
    job.add_trial(2)
    page.get_by_role("link", name="Next trial").click()
    expect(page.locator("h1")).to_have_text("Trial 2 running")
    page.get_by_role("link", name="Previous trial").click()
    expect(page.get_by_role("row", name="lr")).to_contain_text("0.0001 to 0.3, log")
    row = page.get_by_role("row", name="momentum")
    expect(row).to_contain_text("0.5")
    check_accessibility(page)


OUTCOMES = [
    (FaultKind.PROGRAM, "no metric", "no val_accuracy was found", "algorithm learns that this configuration fails"),
    (FaultKind.INFEASIBLE, "infeasible", "the batch is too large", "does not count as a failure"),
    (FaultKind.CLUSTER, "executor lost", "Lost 5 times; the last time: gone", "The cluster's fault, not the program's"),
    (FaultKind.SERVICE, "", "the program could not be handed out", "The service's fault, not the program's"),
    (FaultKind.ENVIRONMENT, "", "no module named torch", "can be resumed once that is mended"),
]


def test_each_end_says_whose_fault_it_was(opened, portal):
    job = running(portal.service, budget={"trials": 9})
    for number, (fault, failure, reason, _) in enumerate(OUTCOMES):
        run = job.add_trial(number)
        run.claim()
        outcome = Outcome(status=TaskStatus.FAILED, fault=fault, failure=failure, exit_code=3, reason=reason)
        explanation = "val_accuracy: looked for in 3 lines" if failure == "no metric" else ""
        ended(run, TrialStatus.FAILED, outcome, fault=fault, failure=failure, reason=reason, explanation=explanation)
    run = job.add_trial(5)
    run.claim()
    nan = {"val_accuracy": float("nan"), "loss": float("inf")}
    failed = Outcome(status=TaskStatus.FAILED, fault=FaultKind.PROGRAM, failure="nan", reason="val_accuracy was nan")
    ended(run, TrialStatus.FAILED, failed, fault=FaultKind.PROGRAM, failure="nan", reason=failed.reason, metrics=nan)
    run = job.add_trial(6)
    ended(run, TrialStatus.STOPPED, reason="stopped by request")
    page = opened(job, 0)
    for number, (_, failure, reason, meaning) in enumerate(OUTCOMES):
        expect(page.locator("h1")).to_have_text(f"Trial {number} failed")
        told = page.locator("#reason")
        expect(told).to_contain_text(reason)
        expect(told).to_contain_text(meaning)
        if failure == "no metric":
            expect(page.get_by_text("Why a metric is missing")).to_be_visible()
            expect(page.get_by_text("looked for in 3 lines")).to_be_visible()
            expect(page.locator("#trial-tasks")).to_contain_text("exit code 3")
        page.locator("#trial-next").click()
    expect(page.locator("#trial-facts")).to_contain_text("last NaN")
    expect(page.locator("#trial-facts")).to_contain_text("∞")
    page.locator("#trial-next").click()
    expect(page.locator("h1")).to_have_text("Trial 6 stopped")
    expect(page.locator("#reason")).to_contain_text("stopped by request")


def test_executions_that_were_lost_keep_their_last_words_and_the_log_follows_the_newest(opened, portal):
    job = running(portal.service)
    run = job.add_trial(0)
    run.claim()
    run.report(log="first life\n")
    page = opened(job, 0)
    expect(page.locator("#log-text")).to_have_text("first life\n")
    gone = Outcome(
        status=TaskStatus.LOST,
        fault=FaultKind.CLUSTER,
        failure="executor lost",
        reason="worker-1 is gone",
        log_tail="\x1b[31mfirst life\x1b[0m\n 10%\r 20%\n",
        elapsed_s=3.0,
    )
    second = next_execution(run, gone, 1)
    second.claim()
    second.report(log="second life\n")
    expect(page.locator("#log-text")).to_have_text("second life\n")
    expect(page.locator("#log-of")).to_have_text("of execution 1")
    tasks = page.locator("#trial-tasks")
    expect(tasks).to_contain_text("executor lost (cluster's fault): worker-1 is gone")
    tail = tasks.get_by_text("Last 2 lines")
    tail.click()
    expect(tasks.locator("pre")).to_have_text("first life\n 20%")
    second.report((1, "val_accuracy", 0.5), log="more\n")
    expect(page.locator("#log-text")).to_have_text("second life\nmore\n")
    expect(tasks.locator("pre")).to_be_visible()  # what the reader has opened stays so
    expect(tasks.locator("pre")).to_have_text("first life\n 20%")
    check_accessibility(page)
    page.get_by_role("link", name="Show its log").click()
    expect(page.locator("#log-text")).to_have_text("first life\n")
    expect(page.locator("#log-download")).to_have_attribute("href", re.compile("task=0"))
    second.report(log="still more\n")
    second.finish(0.5)
    expect(page.locator("h1")).to_contain_text("completed")
    expect(page.locator("#log-text")).to_have_text("first life\n")


def test_a_log_is_shown_as_a_terminal_would(opened, portal):
    job = running(portal.service)
    run = job.add_trial(0)
    run.claim()
    page = opened(job, 0)
    text = page.locator("#log-text")
    run.report(log="\x1b[1;32mgood\x1b[0m \x1b]0;title\x07day\x08\n 10%\r 20%")
    expect(text).to_have_text("good day\n 20%")
    run.report(log="\r 30%\x1b[")
    expect(text).to_have_text("good day\n 30%")
    run.report(log="K\r\nжизнь 科学\nשמש\n<b>no markup</b>\n")
    expect(text).to_have_text("good day\n 30%\nжизнь 科学\nשמש\n<b>no markup</b>\n")
    # Who reads further up is left there; who goes on following sees the end.
    run.report(log="".join(f"line {n}\n" for n in range(300)))
    expect(text).to_contain_text("line 299")
    bottom = "box => box.scrollTop + box.clientHeight >= box.scrollHeight - 2"
    assert text.evaluate(bottom)
    text.focus()
    page.keyboard.press("Home")
    expect(page.get_by_label("Follow")).not_to_be_checked()
    run.report(log="after that\n")
    expect(text).to_contain_text("after that")
    assert text.evaluate("box => box.scrollTop") < 100
    page.get_by_label("Follow").check()
    page.wait_for_function(f"({bottom})(document.getElementById('log-text'))")
    page.get_by_label("Wrap lines").check()
    expect(text).to_have_class(re.compile("wrap"))


@pytest.mark.parametrize("mib", [12, pytest.param(100, marks=pytest.mark.heavy)])
def test_a_long_log_stays_quick_and_all_of_it_is_searched(opened, portal, tmp_path, mib):
    job = running(portal.service)
    run = job.add_trial(0)
    run.claim()
    lines = [
        b"epoch %07d val_accuracy=0.5 nothing to be seen here at all, as on every other day\n" % n for n in range(1000)
    ]
    block = b"".join(lines)
    parts = [block] * (mib * 2**20 // len(block) + 1)
    parts[1:1] = ["first Needle äöü\n".encode()]
    parts[60:60] = [b" 10% needle\r 20% haystack\n"]
    parts.append(b"last NEEDLE\n")
    whole = b"".join(parts)
    long_log(portal.service, run, whole)
    page = opened(job, 0)
    text = page.locator("#log-text")
    expect(text).to_contain_text("last NEEDLE")
    expect(page.locator("#log-state")).to_contain_text(f"of {mib:.0f}")
    found = page.locator("#log-found")
    field = page.get_by_role("searchbox", name="Search the log")
    field.fill("needle")
    field.press("Enter")
    expect(found).to_have_text("1 of 3: line 1,001")
    assert "first Needle äöü" in log_of(page)
    field.press("Enter")
    expect(found).to_contain_text("2 of 3")
    expect(found).to_contain_text("written over")
    page.get_by_role("button", name="Next match").click()
    expect(found).to_contain_text("3 of 3")
    page.get_by_role("button", name="Next match").click()
    expect(found).to_contain_text("1 of 3")
    field.press("Shift+Enter")
    expect(found).to_contain_text("3 of 3")
    marked = "() => [...CSS.highlights.get('log-match')].map(range => String(range)).join()"
    assert page.evaluate(marked) == "NEEDLE"
    for _ in range(6):
        page.get_by_role("button", name="Show earlier lines").click()
        expect(page.locator("#log-problem")).to_be_empty()
    expect(page.get_by_role("button", name="Show later lines")).to_be_visible()
    assert len(log_of(page)) < 2 * 2**20
    field.fill("no such words")
    field.press("Enter")
    expect(found).to_have_text("Not found.")
    # What comes meanwhile is no gap: following shows the end again.
    run.report(log="the end\n")
    page.get_by_label("Follow").check()
    expect(text).to_contain_text("the end")
    assert log_of(page).endswith("last NEEDLE\nthe end\n")
    assert len(log_of(page)) < 2 * 2**20
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    saved = tmp_path / "saved.log"
    download.value.save_as(saved)
    assert saved.stat().st_size == len(whole) + len(b"the end\n")


def test_pieces_of_a_long_log_fit_together(opened, portal):
    """Line by line, up and down again: no gap, nothing twice."""
    job = running(portal.service)
    run = job.add_trial(0)
    run.claim()
    whole = "".join(f"{n:06d} {'é' * (n % 90)}\n" for n in range(14_000))
    long_log(portal.service, run, whole.encode())
    page = opened(job, 0)
    expect(page.locator("#log-text")).to_contain_text("013999")

    def numbers() -> list[int]:
        return [int(line[:6]) for line in log_of(page).splitlines()]

    def consecutive() -> bool:
        shown = numbers()
        return shown == list(range(shown[0], shown[-1] + 1))

    def until(name: str, wanted: int, place: int) -> None:
        button = page.get_by_role("button", name=name)
        while numbers()[place] != wanted:
            before = numbers()[place]
            button.click()
            page.wait_for_function(
                """([place, before]) => { const parts = document.querySelectorAll('#log-text > div');
                const lines = [...parts].at(place).textContent.trimEnd().split('\\n');
                return Number(lines.at(place).slice(0, 6)) !== before; }""",
                arg=[place, before],
            )
            assert consecutive()

    until("Show earlier lines", 0, 0)
    expect(page.get_by_role("button", name="Show earlier lines")).to_be_hidden()
    until("Show later lines", 13_999, -1)
    expect(page.get_by_role("button", name="Show later lines")).to_be_hidden()
    run.report(log="014000 a\n014001 b\n")
    expect(page.locator("#log-text")).to_contain_text("014001")
    assert consecutive()


def test_resources_peaks_and_files_that_it_left(opened, portal, tmp_path):
    job = running(portal.service)
    run = job.add_trial(0)
    run.claim()
    samples = tuple(ResourceSample(elapsed_s=5.0 * n, cpu=1.5, memory_bytes=n * 2**28, threads=12) for n in range(1, 9))
    used = Report(resources=ResourceUse(samples=samples, peak_memory_bytes=3 * 2**30, cpu_s=75.0))
    assert run.post("report", used.to_json()).status_code == 200
    page = opened(job, 0)
    expect(page.locator("#artifact-list")).to_contain_text("TUNING_ARTIFACTS_DIR")
    token = portal.service.token(run.task_id)
    with portal.service.http(token) as http:
        for name, content in {"model.pt": b"m" * 5000, "plots/数字 1.txt": b"x"}.items():
            assert http.put(f"/v1/tasks/{run.task_id}/artifacts/{name}", content=content).status_code == 200
    killed = Outcome(
        status=TaskStatus.FAILED, fault=FaultKind.PROGRAM, failure="out of memory", exit_code=-9, reason="killed"
    )
    ended(run, TrialStatus.FAILED, killed, fault=killed.fault, failure=killed.failure, reason=killed.reason)
    expect(page.locator("#reason")).to_contain_text("Out of memory. killed Its memory was 3.0 GiB at its peak.")
    expect(page.locator("#trial-tasks")).to_contain_text("signal 9")
    expect(page.locator("#resource-facts")).to_contain_text("3.0 GiB")
    expect(page.locator("#resource-facts")).to_contain_text("1 min 15 s")
    drawn(page, "resources")
    expect(page.locator("#chart-resources .annotation-text")).to_have_text(["CPU cores in use", "Memory"])
    files = page.locator("#artifact-list")
    expect(files.get_by_role("row").nth(1)).to_contain_text("4.9 KiB")
    with page.expect_download() as download:
        files.get_by_role("link", name="plots/数字 1.txt").click()
    download.value.save_as(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"x"
    check_accessibility(page)


def test_a_member_stops_a_trial_and_a_viewer_cannot(opened, portal):
    job = running(portal.service)
    run = job.add_trial(0)
    run.claim()
    seen = opened(job, 0, "vision/viewer")
    expect(seen.locator("h1")).to_have_text("Trial 0 running")
    expect(seen.get_by_role("button", name="Stop this trial")).to_have_count(0)
    expect(seen.get_by_role("link", name="New job from")).to_have_count(0)
    page = opened(job, 0)
    button = page.get_by_role("button", name="Stop this trial")
    button.focus()
    page.keyboard.press("Enter")
    yes = page.get_by_role("dialog").get_by_role("button", name="Stop it")
    yes.focus()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Trial 0 running → stopping")
    expect(button).to_have_count(0)
    ended(run, TrialStatus.STOPPED, Outcome(status=TaskStatus.STOPPED, reason="stopped"), reason="stopped by request")
    expect(seen.locator("h1")).to_have_text("Trial 0 stopped")


def test_many_metrics_and_parameters_fit_a_phone(opened, portal):
    space = {
        f"parameter_number_{n:02d}_of_sixty": {"type": "float", "min": 0, "max": 1, "default": 0.5} for n in range(59)
    }
    space["kind"] = {"type": "categorical", "values": ["ש" * 80, "科学" * 30]}
    job = running(portal.service, name="数字 " + "long-name-" * 19, space=space)
    params = dict.fromkeys(space, 0.25) | {"kind": "科学" * 30}
    run = job.add_trial(0, params)
    run.claim()
    run.report(*[(1, f"metric_{n:02d}_with_a_long_name", 0.1 * n) for n in range(40)], log="x" * 3000 + "\n")
    metrics = {f"metric_{n:02d}_with_a_long_name": 0.1 * n for n in range(40)} | {"val_accuracy": 0.5}
    ended(
        run, TrialStatus.COMPLETED, Outcome(status=TaskStatus.SUCCEEDED, exit_code=0), value=0.5,
        values={"val_accuracy": 0.5}, metrics=metrics,
    )  # fmt: skip
    for options in ({**PHONE, "color_scheme": "dark"}, {"color_scheme": "light"}):
        page = opened(job, 0, **options)
        expect(page.locator("#trial-params tbody tr")).to_have_count(60)
        expect(page.locator("#log-text")).to_contain_text("xxx")
        page.get_by_text("All 41 metrics").click()
        expect(page.locator("#all-metrics")).to_contain_text("metric_39")
        page.wait_for_load_state("networkidle")
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        check_accessibility(page)


def test_a_job_that_is_deleted_while_it_is_watched_is_said_once_and_asked_for_no_more(opened, portal, watch):
    watch.allow("status of 404")
    job = running(portal.service)
    run = job.add_trial(0)
    run.claim()
    run.report((1, "val_accuracy", 0.5), log="epoch 1\n")
    page = opened(job, 0)
    expect(page.locator("#log-text")).to_have_text("epoch 1\n")
    expect(page.locator("#live-state")).to_have_text("Live")
    drawn(page, "curves")
    drawn(page, "resources")
    job.delete()
    expect(page.get_by_role("alert")).to_contain_text("This job was deleted")
    expect(page.locator("#log-problem")).to_have_text(re.compile("deleted|not there any more"))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    # Seen again, and asked to refresh: there is nothing left to ask for.
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.evaluate("document.dispatchEvent(new Event('portal:refresh'))")
    page.evaluate("new Promise(done => setTimeout(done, 1500))")
    assert asked == []
    expect(page.get_by_role("alert")).to_have_count(1)
    expect(page.locator("#log-text")).to_have_text("epoch 1\n")


def test_a_session_that_ends_while_a_trial_is_watched(opened, portal, watch):
    watch.allow("status of 401")
    job = running(portal.service)
    run = job.add_trial(0)
    run.claim()
    run.report(log="epoch 1\n")
    page = opened(job, 0)
    expect(page.locator("#log-text")).to_have_text("epoch 1\n")
    page.context.clear_cookies()
    run.report((1, "val_accuracy", 0.5), log="epoch 2\n")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_have_count(1)
    expect(dialog).to_contain_text("Your session has expired")
    dialog.get_by_label("API key").fill(portal.service.keys["vision/member"])
    dialog.get_by_role("button", name="Sign in").click()
    expect(dialog).to_have_count(0)
    run.report((2, "val_accuracy", 0.6), log="epoch 3\n")
    expect(page.locator("#log-text")).to_have_text("epoch 1\nepoch 2\nepoch 3\n")
    run.finish(0.6)
    expect(page.locator("h1")).to_contain_text("completed")


def test_a_restart_of_the_service_leaves_no_gap_and_nothing_twice(opened, portal, watch):
    watch.allow("ERR_|status of 5|Failed to load")
    job = running(portal.service)
    run = job.add_trial(0)
    run.claim()
    run.report(log="before\n")
    page = opened(job, 0)
    expect(page.locator("#log-text")).to_have_text("before\n")
    expect(page.locator("#live-state")).to_have_text("Live")
    portal.stop()
    expect(page.locator("#live-state")).to_have_text("Reconnecting…")
    portal.start()
    run.report((1, "val_accuracy", 0.5), log="after\n")
    expect(page.locator("#live-state")).to_have_text("Live")
    expect(page.locator("#log-text")).to_have_text("before\nafter\n")
    expect(page.locator("#log-problem")).to_be_empty()
    run.finish(0.5)
    expect(page.locator("h1")).to_contain_text("completed")
