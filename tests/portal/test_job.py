"""The pages of one job, as who tunes models sees them."""

import random
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from benchmarks.portal import seed
from tests.portal.browser import PHONE, Pages, check_accessibility
from tests.portal.conftest import Portal
from tests.rest_service import running
from tuning_service.domain.state import JobStatus

TABS = ("", "/trials", "/curves", "/parameters", "/slots", "/file")
SEVERAL = [
    {"metric": "val_accuracy", "goal": "maximize"},
    {"metric": "latency_ms", "goal": "minimize"},
    {"metric": "size_mb", "goal": "minimize"},
]


@pytest.fixture
def opened(portal: Portal, pages: Pages) -> Callable[..., Page]:
    """Opens a page of a job for somebody who has signed in."""

    def open_page(job_id: str, tab: str = "", who: str = "vision/member", **options: Any) -> Page:
        page = portal.sign_in(pages.open(portal.url, **options), who)
        page.goto(f"/jobs/{job_id}{tab}")
        return page

    return open_page


def drawn(page: Page, chart: str) -> None:
    figure = page.locator(f"#chart-{chart}")
    figure.scroll_into_view_if_needed()
    expect(figure).to_have_attribute("data-drawn", re.compile(r"\d"))


def fits(page: Page) -> None:
    """Nothing is wider than the screen."""
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


def test_the_overview_tells_what_was_found_and_what_went_wrong(opened, portal):
    job = running(portal.service, points=[{"lr": 0.2}], name="<b>digits</b> & more")
    job.add_trial(0, {"lr": 0.0001, "optimizer": "adam"}).complete(0.75)
    job.add_trial(1).complete(0.5)
    for number in (2, 3):
        job.add_trial(number).complete(None)
    page = opened(job.job_id)
    expect(page.get_by_role("heading", name="<b>digits</b> & more")).to_be_visible()
    facts = page.locator("#job-head .facts")
    expect(facts).to_contain_text("4 of 4, 2 failed")
    expect(facts.get_by_role("link", name="trial 0")).to_have_attribute("href", f"/jobs/{job.job_id}/trials/0")
    row = page.locator("#setting-lr")
    expect(row).to_contain_text("0.0001 to 0.3, log")
    expect(row).to_contain_text("at the lower end")
    expect(page.locator("#setting-momentum")).to_contain_text("inactive")
    failures = page.locator("#failures")
    expect(failures).to_contain_text(re.compile("2 . failed"))
    expect(failures).to_contain_text("the program ended with exit code 1")
    expect(page.locator("#queued")).to_contain_text("point 1")
    drawn(page, "history")
    drawn(page, "importance")
    check_accessibility(page)
    failures.get_by_role("link", name="All failed trials").click()
    expect(page.locator("#trials tbody tr")).to_have_count(2)


def test_what_a_running_trial_measures_is_seen_before_it_ends(opened, portal):
    job = running(portal.service)
    run = job.add_trial(0)
    run.claim()
    table, overview = opened(job.job_id, "/trials").locator("#trial-0"), opened(job.job_id).locator("#running-0")
    for step, value in ((1, 0.125), (2, 0.25)):
        run.report((step, "val_accuracy", value))
        for row in (table, overview):
            expect(row).to_contain_text(f"so far {value}")
    run.finish(0.25)
    expect(table).to_contain_text("completed")
    expect(table).not_to_contain_text("so far")
    expect(overview).to_have_count(0)


def test_a_page_follows_its_job_until_it_is_deleted(opened, portal, watch):
    watch.allow("status of 404")  # a chart may ask for what has just gone
    job = running(portal.service)
    page = opened(job.job_id)
    expect(page.get_by_role("heading", name="No trial has ended yet")).to_be_visible()
    job.add_trial(0).complete(0.25)
    expect(page.locator("#job-head")).to_contain_text("0.25")
    drawn(page, "history")
    expect(page.get_by_role("heading", name="No trial has ended yet")).to_have_count(0)
    job.delete()
    expect(page.get_by_role("alert").filter(has_text="This job was deleted")).to_be_visible()


def test_controls_stop_change_resume_and_delete(opened, portal, watch):
    watch.allow("status of 422")
    job = running(portal.service)
    page = opened(job.job_id)
    page.get_by_role("button", name="Change budget").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Trials", exact=False).first.fill("0")
    dialog.get_by_label("Name").fill("digits, longer")
    dialog.get_by_role("button", name="Change").click()
    expect(dialog.locator(".field-error")).to_be_visible()
    dialog.locator('[name="trials"]').fill("9")
    dialog.locator('[name="parallel"]').fill("3")
    dialog.get_by_role("button", name="Change").click()
    expect(page.get_by_role("heading", name="digits, longer")).to_be_visible()
    expect(page.locator("#job-head")).to_contain_text("0 of 9")
    expect(page.locator("#job-head")).to_contain_text("3 in parallel")

    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_role("button", name="Stop the job").click()
    expect(page.locator("#job-head .badge")).to_have_text("running → stopping")
    job.set_status(JobStatus.STOPPED)
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#job-head .badge")).to_have_text("stopped → resuming")
    page.get_by_role("button", name="Stop", exact=True).click()  # before any controller has taken it up
    page.get_by_role("button", name="Stop the job").click()
    expect(page.locator("#job-head .badge")).to_have_text("stopped")
    job.set_status(JobStatus.FAILED)
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#job-head .badge")).to_have_text("failed → resuming")

    page.locator("#more summary").click()
    page.get_by_role("button", name="Delete…").click()
    with page.expect_navigation(url="**/jobs"):
        page.get_by_role("button", name="Delete the job").click()


def test_a_trial_is_added_by_hand_from_a_form_of_the_space(opened, portal, watch):
    watch.allow("status of 422")
    job = running(portal.service, budget={"trials": 10})
    job.add_trial(0, {"lr": 0.02, "optimizer": "adam"}).complete(0.75)
    page = opened(job.job_id)
    page.get_by_role("button", name="Add a trial").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("lr")).to_have_value("0.02")
    expect(dialog.get_by_label("momentum")).to_be_hidden()  # it has no part with adam
    check_accessibility(page, within="dialog")
    dialog.get_by_label("optimizer").select_option(label="sgd")
    expect(dialog.get_by_label("momentum")).to_be_visible()
    dialog.get_by_label("lr").fill("7")
    dialog.get_by_role("button", name="Add").click()
    error = dialog.locator(".field-error")
    expect(error).to_contain_text("outside the space")
    expect(dialog.locator('[name="lr"]')).to_have_attribute("aria-invalid", "true")
    dialog.locator('[name="lr"]').fill("0.1")
    dialog.get_by_role("button", name="Add").click()
    expect(page.locator("#queued")).to_contain_text("lr 0.1, optimizer sgd")
    with portal.service.http() as http:
        queued = http.get(f"/v1/tuning-jobs/{job.job_id}/points").json()["items"]
    assert [p["params"] for p in queued] == [{"lr": 0.1, "optimizer": "sgd", "momentum": 0.495}]


def test_a_viewer_is_offered_no_changes(opened, portal):
    job = running(portal.service)
    job.add_trial(0)
    page = opened(job.job_id, "/trials", who="vision/viewer")
    expect(page.locator("#trial-0")).to_be_visible()
    expect(page.locator("main [data-method]")).to_have_count(0)
    expect(page.get_by_role("button", name="Change budget")).to_have_count(0)


def test_the_table_of_trials_is_sorted_filtered_and_paged_on_the_server(opened, portal):
    page = opened(portal.seed_job(120), "/trials")
    rows = page.locator("#trials tbody tr")
    expect(rows).to_have_count(50)
    expect(rows.first).to_have_attribute("id", "trial-119")
    page.get_by_role("link", name="Next").click()
    expect(rows.first).to_have_attribute("id", "trial-69")
    page.get_by_role("link", name="val_accuracy").click()
    values = page.locator("#trials tbody tr td:nth-child(3) data").evaluate_all("all => all.map(e => +e.value)")
    assert values == sorted(values, reverse=True)
    expect(page.get_by_text("Page 1 of 3")).to_be_visible()
    page.locator("#columns summary").click()
    for name in ("lr", "batch_size", "dropout", "momentum"):
        page.get_by_role("checkbox", name=name).uncheck()
    page.get_by_role("button", name="Show these").click()
    expect(page.locator("#trials th").filter(has_text="batch_size")).to_have_count(0)
    rows.first.get_by_label("Further parameters").click()
    expect(rows.first.locator("details dl")).to_contain_text("batch_size")
    expect(page.locator("#trials th[aria-sort]")).to_have_text("val_accuracy")
    check_accessibility(page)


def test_one_trial_is_stopped_from_the_table(opened, portal):
    job = running(portal.service)
    job.add_trial(0).claim()
    page = opened(job.job_id, "/trials")
    page.get_by_role("button", name="Stop trial 0").click()
    page.get_by_role("button", name="Stop the trial").click()
    expect(page.get_by_text("Trial 0 is stopping.")).to_be_visible()
    with portal.service.store.read() as unit:
        assert unit.for_tenant(portal.service.principal()).trial(job.job_id, 0).stop_requested


def test_curves_say_what_they_leave_out_and_their_choices_survive_a_reload(opened, portal):
    page = opened(portal.seed_job(60, 400), "/curves")
    drawn(page, "curves")
    expect(page.locator("#chart-curves .note")).to_contain_text("of 60 trials are drawn, at most")
    page.locator('select[data-sets="trials"]').select_option("best:10")
    expect(page.locator("#chart-curves .note")).to_contain_text("of 10 trials are drawn, at most")
    page.reload()
    expect(page.locator('select[data-sets="trials"]')).to_have_value("best:10")
    expect(page.locator("#chart-curves .note")).to_contain_text("of 10 trials are drawn, at most")
    check_accessibility(page)


def test_brushing_an_axis_keeps_the_trials_that_pass_there(opened, portal):
    job_id = portal.seed_job(40)
    page = opened(job_id, "/parameters")
    for chart in ("parallel", "importance", "slice", "contour"):
        drawn(page, chart)
    parallel = page.locator("#chart-parallel")
    axis = parallel.get_by_role("slider", name="Range of optimizer")
    axis.focus()
    page.keyboard.press("ArrowDown")  # below "adam", the upper one
    expect(parallel.get_by_role("status")).to_contain_text("of 40 trials pass")
    listed = parallel.locator("tbody tr")
    expect(listed).to_have_count(12)
    expect(listed.first).to_contain_text("sgd")
    assert listed.get_by_text("adam").count() == 0
    link = listed.first.get_by_role("link")
    expect(link).to_have_attribute(
        "href", f"{page.url.removeprefix(portal.url).split('/param')[0]}/trials/{link.inner_text()}"
    )
    parallel.get_by_role("button", name="Show all trials again").click()
    expect(listed).to_have_count(0)
    grip = parallel.get_by_role("slider", name="Range of lr").locator(".grip").bounding_box()
    x = grip["x"] + grip["width"] / 2
    page.mouse.move(x, grip["y"] + 10)
    page.mouse.down()
    page.mouse.move(x, grip["y"] + grip["height"] / 2, steps=3)
    page.mouse.up()
    expect(parallel.get_by_role("status")).to_contain_text("of 40 trials pass")
    check_accessibility(page)


def test_charts_of_a_thousand_trials_are_few_elements_and_each_point_leads_to_its_trial(opened, portal):
    batch = {"batch_size": {"type": "int", "min": 16, "max": 256, "scale": "pow2"}}
    job_id = portal.seed_job(1000, spec={"space": {**seed.SPEC["space"], **batch}})
    page = opened(job_id, "/parameters?parameter=batch_size")
    for chart in ("parallel", "slice", "contour"):
        drawn(page, chart)
        figure = page.locator(f"#chart-{chart}")
        assert figure.locator(".plot *").count() < 400
        assert figure.locator(":scope > *").first.evaluate("element => element.tagName") == "FIGCAPTION"
    marks = page.get_by_role("slider", name="Range of batch_size").locator(".tick")
    assert [mark.evaluate("mark => mark.firstChild.data") for mark in marks.all()] == ["16", "32", "64", "128", "256"]
    page.locator("#slice").scroll_into_view_if_needed()
    plot = page.locator("#chart-slice .nsewdrag").bounding_box()
    expect(page.get_by_role("button", name="Share")).to_have_count(0)  # charts are nobody's business elsewhere
    expect(page.locator("#chart-slice .xtick text")).to_have_text(["16", "32", "64", "128", "256"])
    # Somewhere among so many there is a point at hand.
    x, y = plot["x"] + plot["width"] * 0.5, plot["y"] + plot["height"] * 0.1
    page.mouse.move(x - 5, y)
    page.mouse.move(x, y, steps=3)
    label = page.locator("#chart-slice .hoverlayer .nums")
    expect(label).to_contain_text(re.compile(r"Trial \d+.*batch_size 64"))
    number = re.search(r"Trial (\d+)", label.text_content()).group(1)
    page.mouse.click(x, y, delay=100)
    expect(page).to_have_url(re.compile(rf"/jobs/{job_id}/trials/{number}$"))


def test_axes_of_the_contour_change_places_rather_than_show_the_same(opened, portal):
    page = opened(portal.seed_job(20), "/parameters")
    drawn(page, "contour")
    up = page.locator('select[data-sets="y"]')
    was_up, was_across = up.input_value(), page.locator('select[data-sets="x"]').input_value()
    up.focus()
    up.select_option(was_across)
    expect(page.locator('select[data-sets="x"]')).to_have_value(was_up)
    expect(page.locator("#chart-contour .xtitle")).to_have_text(was_up)
    expect(page.locator("#chart-contour .ytitle")).to_have_text(was_across)


def test_several_objectives_have_a_front_whose_axes_are_chosen(opened, portal):
    job = running(portal.service, objective=SEVERAL, budget={"trials": 40})
    draw = random.Random(0)
    for number in range(8):
        run = job.add_trial(number, {"lr": 10 ** draw.uniform(-4, -1), "optimizer": "adam"})
        run.claim()
        value = draw.random()
        run.finish(value, values={"val_accuracy": value, "latency_ms": 9 * draw.random(), "size_mb": 9 * draw.random()})
    page = opened(job.job_id, "/parameters")
    drawn(page, "front")
    front = page.locator("#chart-front")
    expect(front.locator(".xtitle")).to_have_text("val_accuracy (more is better)")
    front.get_by_label("Across").select_option(label="size_mb")
    expect(front.locator(".xtitle")).to_have_text("size_mb (less is better)")
    expect(page.locator("#job-head .facts")).to_contain_text("Pareto front")
    check_accessibility(page)


def test_the_job_file_is_shown_in_each_language_and_copied(opened, portal):
    job = running(portal.service)
    page = opened(job.job_id, "/file", permissions=["clipboard-read", "clipboard-write"])
    text = page.locator("#file-text pre")
    expect(text).to_contain_text("framework: pytorch")
    page.get_by_role("tab", name="curl").click()
    expect(text).to_contain_text("curl --silent")
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.get_by_text("Copied.")).to_be_visible()
    assert page.evaluate("() => navigator.clipboard.readText()") == text.inner_text()
    check_accessibility(page)


@pytest.mark.parametrize("kind", ["no trials", "all failed", "one parameter"])
def test_every_page_makes_sense_for_odd_jobs(portal, pages, kind):
    name = "ضبط " * 50  # of another script, from right to left, and long
    space = {"lr": {"type": "float", "min": 0.001, "max": 1.0, "scale": "log"}}
    job = running(portal.service, name=name.strip(), **({"space": space} if kind == "one parameter" else {}))
    if kind == "all failed":
        job.add_trial(0).complete(None)
    elif kind == "one parameter":
        job.add_trial(0, {"lr": 0.1}).complete(0.5)
    page = portal.sign_in(pages.open(portal.url, **PHONE, color_scheme="dark"))
    for tab in TABS:
        page.goto(f"/jobs/{job.job_id}{tab}")
        figure = page.locator("figure[data-chart]")
        if figure.count():
            figure.first.scroll_into_view_if_needed()
            expect(figure.first).to_have_attribute("data-drawn", re.compile(r"\d"))
            expect(figure.get_by_role("button", name="Try again")).to_have_count(0)
        fits(page)
        if tab == "":
            check_accessibility(page)


def test_failures_are_told_by_kind_over_rest(portal):
    job = running(portal.service)
    for number in range(3):
        job.add_trial(number).complete(None)
    with portal.service.http() as http:
        told = http.get(f"/v1/tuning-jobs/{job.job_id}/failures")
        assert told.json() == {
            "items": [
                {
                    "failure": "",
                    "fault": "none",
                    "count": 3,
                    "newest": 2,
                    "reason": "the program ended with exit code 1",
                }
            ]
        }
    with portal.service.http(portal.service.keys["speech/member"]) as http:
        assert http.get(f"/v1/tuning-jobs/{job.job_id}/failures").status_code == 404
