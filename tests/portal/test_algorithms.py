"""Plug-ins brought through the browser: uploaded, installed, checked, deleted."""

import re
import time

from playwright.sync_api import Locator, Page, expect

from tests.plugins import plugin_files, waiting_files, zipped
from tests.portal.browser import PHONE, check_accessibility


def upload(page: Page, content: bytes, name: str = "mine.zip") -> None:
    file = {"name": name, "mimeType": "application/zip", "buffer": content}
    page.locator("[name=file]").set_input_files(file)
    page.get_by_role("button", name="Upload").click()


def row(page: Page, version: str) -> Locator:
    return page.locator("#plugins tbody tr").filter(has_text=version)


def test_a_plugin_is_uploaded_checked_and_deleted(page, portal):
    portal.sign_in(page).goto("/algorithms")
    expect(page.locator("#plugins")).to_contain_text("None yet.")
    upload(page, zipped(plugin_files("if count > 3: return []")))
    expect(page.get_by_text("it is being installed and tried out")).to_be_visible()
    mine = row(page, "1.0.0")
    expect(mine.locator("td").nth(3)).to_contain_text("ready")
    expect(page.locator("#algorithm-mine")).to_contain_text("own plug-in")
    expect(mine.locator("td").nth(6)).to_have_text("not yet")

    # It works, but not in all that is asked of an algorithm: each line says what.
    mine.get_by_role("button", name="Check mine 1.0.0").click()
    expect(mine.get_by_role("button", name="Check mine 1.0.0")).to_be_disabled()
    expect(mine.locator("td").nth(6)).to_contain_text("failed")
    lines = mine.locator(".check li")
    expect(lines.first).to_contain_text("loads and suggests")
    wrong = lines.filter(has=page.get_by_text("wrong", exact=True))
    expect(wrong.first.locator("pre")).not_to_be_empty()
    expect(mine.get_by_role("button", name="Check mine 1.0.0")).to_be_enabled()
    check_accessibility(page)
    page.reload()
    expect(lines.first).to_be_visible()

    mine.get_by_role("button", name="Delete mine 1.0.0").click()
    page.get_by_role("dialog", name="Delete mine 1.0.0?").get_by_role("button", name="Delete").click()
    expect(page.locator("#plugins")).to_contain_text("None yet.")
    expect(page.locator("#algorithm-mine")).to_have_count(0)


def test_a_check_that_runs_is_seen_by_who_comes_later(pages, portal, tmp_path):
    gate = tmp_path / "gate"
    gate.touch()
    plugin = portal.service.plugins.upload(portal.service.principal(), zipped(waiting_files(gate)))
    page = portal.sign_in(pages.open(portal.url))
    page.goto("/algorithms")
    button = row(page, "1.0.0").get_by_role("button", name="Check mine 1.0.0")
    expect(button).to_be_enabled()
    with portal.service.store.write() as unit:
        unit.plugin_checks.claim(plugin.id, "of a manager that died", time.time() - 60)
    page.reload()
    expect(row(page, "1.0.0").locator("td").nth(6)).to_contain_text("The service ended while it was checked.")
    gate.unlink()
    button.click()
    expect(button).to_have_text("Checking…")
    colleague = portal.sign_in(pages.open(portal.url), "vision/viewer")
    colleague.goto("/algorithms")
    page.reload()
    expect(button).to_be_disabled()
    for each in (page, colleague):
        expect(row(each, "1.0.0").locator("td").nth(6)).to_contain_text("checking")
    check_accessibility(page)
    gate.write_text("wrongly")
    for each in (page, colleague):
        expect(row(each, "1.0.0").locator("td").nth(6)).to_contain_text("0 of 1 right")
        expect(row(each, "1.0.0").locator("td").nth(6)).not_to_contain_text("checking")
    expect(row(page, "1.0.0").locator(".check li").first).to_be_visible()
    expect(button).to_be_enabled()


def test_why_a_plugin_cannot_be_used_is_told(page, portal, watch):
    watch.allow("status of 4(13|22|09)")
    portal.sign_in(page).goto("/algorithms")
    alert = page.locator("form[data-upload] .field-error")
    page.get_by_role("button", name="Upload").click()
    expect(alert).to_contain_text("Choose a file.")
    upload(page, b"no archive", "notes.txt")
    expect(alert).to_have_count(1)
    expect(alert).to_be_visible()
    expect(alert).to_contain_text(re.compile("archive|zip"))
    upload(page, zipped(plugin_files(name="random")))
    expect(alert).to_contain_text("In plugin.toml.name: 'random' is the name of a built-in algorithm.")
    check_accessibility(page)
    # That it fails when it is tried out is seen afterwards, with the plug-in's own words.
    upload(page, zipped(plugin_files("raise ValueError('no <luck> today')")))
    expect(alert).to_have_count(0)
    failed = row(page, "1.0.0")
    expect(failed.locator("td").nth(3)).to_contain_text("failed")
    expect(failed.locator("pre")).to_contain_text("no <luck> today")
    expect(failed.get_by_role("button", name="Check")).to_have_count(0)
    check_accessibility(page)


def test_algorithms_fit_a_phone(pages, portal):
    portal.service.plugins.upload(portal.service.principal(), zipped(plugin_files("raise ValueError('x' * 3000)")))
    page = portal.sign_in(pages.open(portal.url, color_scheme="dark", **PHONE), "vision/viewer")
    page.goto("/algorithms")
    expect(row(page, "1.0.0")).to_be_visible()
    page.evaluate("() => { for (const each of document.querySelectorAll('details')) each.open = true; }")
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    check_accessibility(page)
    expect(page.locator("main").get_by_role("button")).to_have_count(0)
