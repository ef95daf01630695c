"""The way in and out, and what surrounds every page."""

import re

from playwright.sync_api import Page, expect

from tests.portal.browser import PHONE, check_accessibility, held_back
from tests.rest_service import Driver
from tuning_service.domain.state import JobStatus
from tuning_service.manager.listing_mgr import ListingMgr


def fill_key(page: Page, key: str) -> None:
    page.get_by_role("tab", name="API key").click()
    page.get_by_label("API key").last.fill(key)
    page.get_by_role("button", name="Sign in").click()


def background(page: Page) -> str:
    return page.evaluate("() => getComputedStyle(document.body).backgroundColor")


def test_whoever_has_not_signed_in_is_asked_to_and_comes_to_where_they_wanted(page, portal):
    page.goto("/jobs?status=running&page=2")
    expect(page).to_have_url(re.compile(r"/sign-in\?next=%2Fjobs%3Fstatus%3Drunning%26page%3D2$"))
    check_accessibility(page)
    fill_key(page, portal.service.key)
    expect(page).to_have_url(f"{portal.url}/jobs?status=running&page=2")
    expect(page.get_by_role("heading", level=1)).to_have_text("Jobs")
    cookie = next(c for c in page.context.cookies() if c["name"] == "tuning_session")
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Lax"
    assert page.evaluate("() => document.cookie") == ""


def test_nobody_is_led_to_another_site(page, portal):
    for target in ("https://elsewhere.test/", "//elsewhere.test", "/\\elsewhere.test", "javascript:alert(1)"):
        page.goto(f"/sign-in?next={target}")
        fill_key(page, portal.service.key)
        expect(page).to_have_url(f"{portal.url}/jobs")


def test_a_wrong_key_is_refused_with_a_reason_and_may_be_mended(page, portal, watch):
    watch.allow("status of 401")
    page.goto("/sign-in")
    fill_key(page, "tsk_wrong")
    expect(page.get_by_role("alert")).to_contain_text("key")
    check_accessibility(page)
    expect(page).to_have_url(f"{portal.url}/sign-in")
    fill_key(page, portal.service.key)
    expect(page).to_have_url(f"{portal.url}/jobs")


def test_a_password_never_comes_into_an_address(page, portal):
    held = held_back(page, "**/sign_in.js")
    page.goto("/sign-in", wait_until="commit")
    expect(page.get_by_role("button", name="Sign in")).to_be_disabled()
    page.get_by_label("Tenant").fill("vision")
    page.get_by_label("Name", exact=True).fill("ada")
    page.get_by_role("textbox", name="Password").fill("secret")
    page.keyboard.press("Enter")
    held.at(0).continue_()
    expect(page.get_by_role("button", name="Sign in")).to_be_enabled()
    expect(page.get_by_role("textbox", name="Password")).to_be_focused()
    expect(page.get_by_label("Name", exact=True)).to_have_value("ada")
    expect(page).to_have_url(f"{portal.url}/sign-in")
    assert page.locator("#sign-in").get_attribute("method") == "post"


def test_a_page_goes_on_with_the_session_that_another_has_begun(page, portal, watch):
    watch.allow("status of 40[13]")
    driver = Driver(portal.service, portal.seed_job(1, status=JobStatus.RUNNING))
    driver.set_status(JobStatus.RUNNING)
    portal.sign_in(page).goto(f"/jobs/{driver.job_id}")
    portal.sign_in(page)  # as in another tab: a new cookie, with another token
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Stop the job").click()
    expect(page.locator(".job-head")).to_contain_text("stopping")


def test_sign_in_needs_no_mouse(page, portal):
    page.goto("/sign-in")
    page.get_by_role("tab", name="Name and password").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="API key")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.insert_text(portal.service.key)
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{portal.url}/jobs")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_after_signing_out_nothing_is_shown(page, portal):
    portal.sign_in(page).goto("/jobs")
    page.locator("summary[aria-label=Account]").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(f"{portal.url}/sign-in")
    page.goto("/jobs")
    expect(page).to_have_url(re.compile("/sign-in"))
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_the_theme_is_the_systems_until_somebody_chooses_and_then_stays(pages, portal):
    page = portal.sign_in(pages.open(portal.url, color_scheme="dark"))
    page.goto("/jobs")
    dark = background(page)
    check_accessibility(page)
    page.get_by_role("button", name="Switch between light and dark").click()
    light = background(page)
    assert light != dark
    check_accessibility(page)
    page.reload()
    assert background(page) == light
    page.emulate_media(color_scheme="light")
    page.get_by_role("button", name="Switch between light and dark").click()
    page.goto("/jobs")
    assert background(page) == dark


def test_a_page_on_a_phone_is_no_wider_than_the_phone(pages, portal):
    portal.seed_jobs(3)
    page = portal.sign_in(pages.open(portal.url, **PHONE))
    page.goto("/jobs")
    expect(page.get_by_role("link", name="digits 2")).to_be_visible()
    assert page.evaluate("() => document.documentElement.scrollWidth") <= PHONE["viewport"]["width"]
    check_accessibility(page)


def test_the_list_follows_what_happens_and_goes_on_after_a_restart(page, portal, watch):
    watch.allow("ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET")
    service = portal.service
    job = portal.seed_job(2, status=JobStatus.RUNNING)
    portal.sign_in(page).goto("/jobs")
    row = page.locator(f"#row-{job}")
    expect(row).to_contain_text("running")
    expect(page.locator("#live-state")).to_have_text("Live")
    driver = Driver(service, job)
    driver.add_trial(2).complete(0.987654321)
    expect(row.locator("data[value='0.987654321']")).to_be_visible()
    page.get_by_role("button", name="Switch between light and dark").focus()
    portal.stop()
    expect(page.locator("#live-state")).to_have_text("Reconnecting…")
    driver.set_status(JobStatus.COMPLETED)
    expect(row).to_contain_text("running")
    portal.start()
    expect(row).to_contain_text("completed")
    expect(page.locator("#live-state")).to_have_text("Live")
    expect(page.get_by_role("button", name="Switch between light and dark")).to_be_focused()  # the same page still


def test_each_sees_their_own_tenants_jobs(pages, portal):
    portal.seed_job(1, name="of vision")
    portal.seed_job(1, name="of speech", who="speech/member")
    for tenant, other in (("vision", "speech"), ("speech", "vision")):
        page = portal.sign_in(pages.open(portal.url), f"{tenant}/viewer")
        page.goto("/jobs")
        expect(page.get_by_role("link", name=f"of {tenant}")).to_be_visible()
        expect(page.get_by_text(f"of {other}")).to_have_count(0)


def test_an_address_that_is_none_is_answered_with_a_page(page, portal, watch):
    watch.allow("status of 404")
    portal.sign_in(page)
    answer = page.goto("/no-such-page")
    assert answer.status == 404
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    check_accessibility(page)
    page.get_by_role("link", name="Jobs").first.click()
    expect(page).to_have_url(f"{portal.url}/jobs")


def test_what_fails_unexpectedly_is_answered_with_a_page_that_says_where_to_look(page, portal, watch, monkeypatch):
    watch.allow("status of 500")

    def broken(*_, **__):
        raise RuntimeError("out of ideas")

    monkeypatch.setattr(ListingMgr, "jobs", broken)
    portal.sign_in(page).goto("/jobs")
    expect(page.get_by_role("heading", level=1)).to_have_text("Something went wrong")
    expect(page.locator("main")).to_contain_text(re.compile("details under [0-9a-f]{16}"))
    expect(page.locator("main")).not_to_contain_text("out of ideas")
    monkeypatch.undo()
    page.get_by_role("link", name="To the start").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Jobs")
