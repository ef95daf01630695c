"""The list of jobs, and jobs compared, as who looks after many of them sees them."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.portal.browser import PHONE, Pages, check_accessibility
from tests.portal.conftest import Portal
from tests.rest_service import Driver, submit
from tuning_service.domain.state import JobStatus

LONG = "Größenänderung 数字 تجربة " + "long-name-" * 17


def running(portal: Portal, name: str, reason: str = "") -> Driver:
    """A job that runs and has completed a trial."""
    driver = Driver(portal.service, portal.seed_job(1, name=name, status=JobStatus.RUNNING))
    driver.set_status(JobStatus.RUNNING, reason)
    return driver


def submitted(portal: Portal) -> str:
    """A job that nobody has taken up yet; its id."""
    with portal.service.http() as http:
        return submit(http, name="submitted").json()["id"]


def box(page: Page, name: str) -> Locator:
    return page.get_by_role("checkbox", name=f"Choose {name}", exact=True)


def names(page: Page) -> list[str]:
    return page.locator("#jobs td.name a").all_text_contents()


def fits(page: Page) -> None:
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


def test_jobs_are_found_sorted_and_paged(page, portal):
    portal.seed_jobs(120, trials=1)
    portal.seed_job(2, name="100% 数字", spec={"algorithm": {"name": "sobol"}})
    portal.sign_in(page).goto("/jobs")
    pager = page.get_by_role("navigation", name="Pages")
    expect(pager).to_contain_text("121 jobs")
    expect(pager).to_contain_text("Page 1 of 3")
    assert len(names(page)) == 50
    pager.get_by_role("link", name="Page 3").click()
    expect(page).to_have_url(f"{portal.url}/jobs?page=3")
    expect(pager.locator("[aria-current]")).to_have_text("3")
    assert names(page)[-1] == "digits 0"
    page.get_by_role("link", name="Name", exact=True).click()
    expect(page).to_have_url(re.compile(r"sort=name"))
    expect(page.locator("th[aria-sort=ascending]")).to_have_text("Name")
    assert names(page) == sorted(names(page))

    # What is typed is looked for, and the address keeps it.
    search = page.get_by_role("searchbox")
    search.press_sequentially("digits 11")
    expect(page.locator("#jobs tbody tr")).to_have_count(11)
    expect(search).to_be_focused()
    expect(page).to_have_url(re.compile(r"sort=name&search=digits\+11"))
    page.reload()
    expect(search).to_have_value("digits 11")
    expect(page.locator("#jobs tbody tr")).to_have_count(11)
    search.fill("100% 数")
    expect(page.locator("#jobs tbody tr")).to_have_count(1)
    expect(page.get_by_role("link", name="100% 数字")).to_be_visible()
    search.fill("100%%")
    expect(page.get_by_role("heading", name="Nothing found")).to_be_visible()
    page.get_by_role("link", name="Show all").click()
    expect(page.locator("#jobs tbody tr")).to_have_count(50)

    page.get_by_label("Algorithm").select_option("sobol")
    expect(page.locator("#jobs tbody tr")).to_have_count(1)
    states = page.get_by_role("navigation", name="State")
    expect(states).to_contain_text("Completed 1")
    states.get_by_role("link", name="Failed").click()
    expect(page).to_have_url(re.compile("algorithm=sobol.*state=failed"))
    expect(page.get_by_role("heading", name="Nothing found")).to_be_visible()


def test_addresses_that_somebody_made_up_show_a_list(page, portal):
    portal.seed_jobs(2, trials=1)
    portal.sign_in(page)
    for query in ("page=99", "page=x", "page=-1", "sort=nonsense", "state=nonsense"):
        assert page.goto(f"/jobs?{query}").status == 200
        expect(page.locator("#jobs tbody tr")).to_have_count(2)
    page.goto("/jobs?framework=gone")
    expect(page.get_by_label("Framework")).to_have_value("gone")


def test_a_line_tells_what_a_job_does_and_waits_for(page, portal):
    waiting = Driver(portal.service, submitted(portal))
    portal.sign_in(page).goto("/jobs")
    # Nobody but the service can say that there is no controller.
    expect(page.locator(f"#row-{waiting.job_id}")).to_contain_text("no controller serves the pool 'default'")
    waiting.set_status(JobStatus.RUNNING, "Waits for free slots. 2 jobs are before it.")
    objectives = [{"metric": "val_accuracy", "goal": "maximize"}, {"metric": "ms", "goal": "minimize"}]
    spec = {"objective": objectives, "budget": {"trials": 9}}
    several = Driver(portal.service, portal.seed_job(0, name="several", status=JobStatus.RUNNING, spec=spec))
    for number, value in enumerate((0.5, 0.75)):
        run = several.add_trial(number)
        run.claim()
        run.finish(value, values={"val_accuracy": value, "ms": value})
    one = portal.seed_job(40, name="one")
    portal.sign_in(page).goto("/jobs")
    row = page.locator(f"#row-{waiting.job_id}")
    expect(row).to_contain_text("2 jobs are before it.")
    expect(row.locator(".owner")).to_have_text("member")
    row = page.locator(f"#row-{one}")
    expect(row).to_contain_text("40 of 40")
    assert row.locator("svg.spark polyline").get_attribute("points").count(",") == 30
    expect(page.get_by_role("link", name="front of 2")).to_be_visible()


def test_an_update_keeps_ticks_focus_and_place(page, portal):
    portal.seed_jobs(30, trials=1)
    lost, kept = running(portal, "is deleted"), running(portal, "goes on")
    portal.sign_in(page).goto("/jobs")
    expect(page.locator("#live-state")).to_have_text("Live")
    box(page, "digits 5").check()
    box(page, "goes on").check()
    box(page, "digits 5").scroll_into_view_if_needed()
    link = page.get_by_role("link", name="digits 4", exact=True)
    link.focus()
    place = link.bounding_box()
    kept.add_trial(1).complete(0.987654321)
    expect(page.locator("data[value='0.987654321']")).to_have_count(1)
    expect(page.locator("#bulk-count")).to_have_text("2 chosen")
    kept.set_status(JobStatus.COMPLETED)
    expect(page.locator(f"#row-{kept.job_id}")).to_contain_text("completed")
    assert link.bounding_box()["y"] == pytest.approx(place["y"], abs=2)
    expect(link).to_be_focused()
    expect(box(page, "digits 5")).to_be_checked()
    expect(box(page, "goes on")).to_be_checked()
    expect(box(page, "digits 6")).not_to_be_checked()
    expect(page.get_by_role("button", name="Delete")).to_be_enabled()
    # A row above that goes takes no other with it.
    lost.delete()
    expect(page.locator(f"#row-{lost.job_id}")).to_have_count(0)
    expect(link).to_be_focused()
    expect(page.locator("#bulk-count")).to_have_text("2 chosen")
    expect(box(page, "digits 5")).to_be_checked()


def test_several_are_stopped_and_deleted_and_who_is_refused_is_named(page, portal, watch):
    watch.allow("status of 404")
    first, second = running(portal, "first"), running(portal, "second")
    portal.seed_job(1, name="<i>over</i>")
    portal.sign_in(page).goto("/jobs")
    stop, delete = page.get_by_role("button", name="Stop"), page.get_by_role("button", name="Delete")
    expect(stop).to_be_disabled()
    box(page, "<i>over</i>").check()
    expect(stop).to_be_disabled()  # it has ended
    page.get_by_label("All on this page").check()
    expect(page.locator("#bulk-count")).to_have_text("3 chosen")
    stop.click()
    dialog = page.get_by_role("dialog", name="Stop 2 jobs?")
    expect(dialog).to_contain_text("second, first.")
    check_accessibility(page)
    dialog.get_by_role("button", name="Cancel").click()
    expect(page.locator(f"#row-{first.job_id}")).not_to_contain_text("stopping")
    stop.click()
    dialog.get_by_role("button", name="Stop").click()
    for driver in (first, second):
        expect(page.locator(f"#row-{driver.job_id}")).to_contain_text("stopping")

    page.get_by_label("All on this page").check()
    delete.click()
    dialog = page.get_by_role("dialog", name="Delete 3 jobs?")
    expect(dialog).to_contain_text("<i>over</i>")
    second.delete()  # by somebody else, meanwhile
    expect(page.locator(f"#row-{second.job_id}")).to_have_count(0)
    dialog.get_by_role("button", name="Delete").click()
    refused = page.locator("#bulk-refused")
    expect(refused).to_contain_text("1 of 3 jobs refused.")
    expect(refused).to_contain_text(f"second: There is no tuning job {second.job_id!r}")
    expect(page.locator(f"#row-{first.job_id}")).to_contain_text("deleting")
    expect(page.get_by_text("Deleting 2 jobs.")).to_be_visible()
    refused.get_by_role("button", name="Close").click()
    expect(refused).to_be_hidden()


def test_a_session_that_ends_with_a_dialog_open_loses_nothing(page, portal, watch):
    watch.allow("status of 401")
    driver = running(portal, "long one")
    portal.sign_in(page).goto("/jobs")
    box(page, "long one").check()
    page.get_by_role("button", name="Stop").click()
    page.context.clear_cookies()
    page.get_by_role("dialog", name="Stop 1 job?").get_by_role("button", name="Stop").click()
    again = page.get_by_role("dialog", name="Your session has expired")
    expect(again).to_be_visible()
    check_accessibility(page)
    for _ in range(3):
        page.keyboard.press("Escape")
    expect(again).to_be_visible()
    again.get_by_label("API key").fill("tsk_wrong")
    again.get_by_role("button", name="Sign in").click()
    expect(again.get_by_role("alert")).to_contain_text("key")
    again.get_by_label("API key").fill(portal.service.key)
    again.get_by_role("button", name="Sign in").click()
    expect(again).to_have_count(0)
    expect(page.locator(f"#row-{driver.job_id}")).to_contain_text("stopping")
    expect(page.locator("#live-state")).to_have_text("Live")


def test_jobs_are_chosen_and_stopped_with_keys_alone(page, portal):
    driver = running(portal, "mine")
    portal.sign_in(page).goto("/jobs")
    box(page, "mine").focus()
    page.keyboard.press("Space")
    page.get_by_label("All on this page").focus()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Stop")).to_be_focused()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page.get_by_role("button", name="Stop")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(f"#row-{driver.job_id}")).to_contain_text("stopping")


def test_who_may_only_look_is_offered_nothing_else(pages, portal):
    running(portal, "theirs")
    page = portal.sign_in(pages.open(portal.url), "vision/viewer")
    page.goto("/jobs")
    expect(page.get_by_role("link", name="theirs")).to_be_visible()
    for path in ("/jobs", "/compare", "/algorithms", "/usage", "/pools"):
        page.goto(path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        main = page.locator("main")
        expect(main.get_by_role("button", name=re.compile("Stop|Delete|Upload|Check|Change|New"))).to_have_count(0)
        expect(main.locator(".choose, a[href='/new']")).to_have_count(0)
        expect(page.get_by_role("navigation", name="Main")).not_to_contain_text("New job")


def test_nobody_sees_another_tenants_jobs(pages, portal, watch):
    watch.allow("status of 404")
    jobs = {
        "vision": portal.seed_job(1, name="of vision"),
        "speech": portal.seed_job(1, name="of speech", who="speech/member"),
    }
    opened = {tenant: portal.sign_in(pages.open(portal.url), f"{tenant}/member") for tenant in jobs}
    for tenant, other in (("vision", "speech"), ("speech", "vision")):
        page = opened[tenant]
        for path in ("/jobs", "/compare"):
            page.goto(path)
            expect(page.locator("main")).to_contain_text(f"of {tenant}")
            expect(page.locator("main")).not_to_contain_text(f"of {other}")
        foreign = jobs[other]
        for path in (f"/jobs/{foreign}", f"/jobs/{foreign}/trials/0", f"/compare?jobs={jobs[tenant]},{foreign}"):
            assert page.goto(path).status == 404
            expect(page.get_by_role("heading", level=1)).to_have_text("Not found")
        for path in (f"/v1/tuning-jobs/{foreign}", f"/v1/analysis/compare?jobs={foreign}", f"/live/{foreign}"):
            assert page.request.get(f"{portal.url}{path}").status == 404


def test_an_operator_has_no_jobs_and_comes_to_the_tenants(page, portal, watch):
    watch.allow("status of 403")
    portal.sign_in(page, "operator").goto("/")
    expect(page).to_have_url(f"{portal.url}/tenants")
    expect(page.get_by_role("navigation", name="Main")).not_to_contain_text("Jobs")
    for path in ("/jobs", "/compare"):
        assert page.goto(path).status == 403
        expect(page.get_by_role("heading", level=1)).to_have_text("Not allowed")
    expect(page.locator("main")).to_contain_text("operator")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_long_names_fit_on_a_phone(pages, portal, theme):
    reason = f"Waits: {'no executor has 64 CPUs for a trial. ' * 5}"
    driver = running(portal, LONG, reason)
    page = portal.sign_in(pages.open(portal.url, color_scheme=theme, **PHONE))
    for path in ("/jobs", f"/compare?jobs={driver.job_id}"):
        page.goto(path)
        expect(page.get_by_text(LONG).first).to_be_visible()
        fits(page)
        check_accessibility(page)


def test_an_empty_list_says_what_to_do(pages, portal):
    page = portal.sign_in(pages.open(portal.url))
    for path in ("/jobs", "/compare"):
        page.goto(path)
        expect(page.get_by_role("heading", name="No jobs yet")).to_be_visible()
        expect(page.locator("main a[href='/new']").first).to_be_visible()


def drawn(page: Page) -> None:
    expect(page.locator("#chart-compare")).to_have_attribute("data-drawn", re.compile(r"\d"))


def ticks(page: Page, name: str) -> Locator:
    return page.locator("#choices label").filter(has_text=name).get_by_role("checkbox")


def compared(pages: Pages, portal: Portal, jobs: list[str]) -> Page:
    page = portal.sign_in(pages.open(portal.url))
    page.goto(f"/compare?jobs={','.join(jobs)}")
    drawn(page)
    return page


def test_two_jobs_are_chosen_among_many_and_compared(page, portal):
    portal.seed_jobs(60, trials=3)
    portal.sign_in(page).goto("/compare")
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("alert")).to_have_text("Choose some jobs.")
    ticks(page, "digits 59").check()
    # The oldest is not among those that are offered at first; what is ticked stays.
    page.get_by_label("Search").press_sequentially("digits 0")
    ticks(page, "digits 0").check()
    expect(page.locator("#choices label")).to_have_count(2)
    expect(ticks(page, "digits 59")).to_be_checked()
    expect(page.locator("#chosen-count")).to_have_text("2 chosen")
    page.get_by_role("button", name="Compare").click()
    drawn(page)
    table = page.locator("#side-by-side")
    expect(table.get_by_role("columnheader")).to_have_text(["digits 59", "digits 0"])
    expect(table.get_by_role("rowheader", name="batch_size")).to_be_visible()
    expect(page.locator(".plot .yaxislayer-above")).to_have_count(1)
    check_accessibility(page)
    page.get_by_label("Against").select_option("time")
    expect(page.locator(".plot .xtitle")).to_have_text(re.compile("time"))


def test_ten_jobs_with_unlike_objectives_have_panels_of_their_own(pages, portal):
    accuracy = [portal.seed_job(5, name=f"job {n} {LONG}", seed=n) for n in range(9)]
    loss = {"objective": {"metric": "val_accuracy", "goal": "minimize"}}
    jobs = [*accuracy, portal.seed_job(5, name="the other way", spec=loss)]
    page = compared(pages, portal, jobs)
    expect(page.locator("#chart-compare .note")).to_contain_text("different objectives")
    expect(page.locator(".plot .ytitle")).to_have_text("highest val_accuracy")
    expect(page.locator(".plot .y2title")).to_have_text("lowest val_accuracy")
    expect(page.locator(".plot .scatterlayer .trace")).to_have_count(10)
    fits(page)
    check_accessibility(page)
    page.goto(f"/compare?jobs={','.join(jobs)},{portal.seed_job(1)}")
    expect(page.get_by_text("The address names 1 more")).to_be_visible()
