"""Users and keys, and the own password, as an admin, an operator and a user see them."""

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.portal.browser import PHONE, Pages, check_accessibility
from tests.portal.conftest import Portal
from tests.rest_service import PASSWORD, a_user
from tuning_service.domain.state import Role


def by_name(pages: Pages, portal: Portal, name: str, password: str = PASSWORD, tenant: str = "vision") -> Page:
    """Signed in through the form."""
    page = pages.open(portal.url)
    page.goto("/sign-in")
    page.get_by_label("Tenant").fill(tenant)
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Password").last.fill(password)
    page.get_by_role("button", name="Sign in").click()
    return page


def row(page: Page, name: str) -> Locator:
    return page.locator("#users tbody tr").filter(has_text=name)


def answered(page: Page, button: str, dialog: str, yes: str, **fields: str) -> None:
    """A dialog is opened, filled in and sent."""
    page.get_by_role("button", name=button, exact=True).click()
    box = page.get_by_role("dialog", name=dialog)
    for name, value in fields.items():
        field = box.locator(f"[name={name}]")
        field.select_option(value) if name == "role" else field.fill(value)
    box.get_by_role("button", name=yes, exact=True).click()


def test_an_admin_looks_after_the_users_of_the_tenant(pages, portal, watch):
    watch.allow("status of 4(22|09|01)")
    page = portal.sign_in(pages.open(portal.url), "vision/admin")
    page.goto("/access")
    expect(page.get_by_role("heading", name="No users yet")).to_be_visible()
    # What the service refuses is said beside the fields, and what was written stays.
    answered(page, "New user", "New user", "Create", name="Ada Lovelace", password=PASSWORD)
    dialog = page.get_by_role("dialog")
    expect(dialog.locator("[name=name] + .field-error")).to_contain_text("lower-case letters")
    expect(dialog.locator("[name=name]")).to_be_focused()
    check_accessibility(page)
    dialog.locator("[name=name]").fill("ada")
    dialog.get_by_label("Password").fill("short")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.locator("[name=password] + .field-error")).to_contain_text("Choose a password of 10")
    expect(dialog.locator(".field-error")).to_have_count(1)
    dialog.get_by_label("Password").fill(PASSWORD)
    dialog.get_by_role("button", name="Create").click()
    expect(dialog).to_have_count(0)
    expect(row(page, "ada")).to_contain_text("member")
    answered(page, "New user", "New user", "Create", name="ada", password=PASSWORD)
    expect(dialog.get_by_role("alert")).to_contain_text("ada")
    page.keyboard.press("Escape")

    ada = by_name(pages, portal, "ada")
    expect(ada).to_have_url(f"{portal.url}/jobs")
    expect(ada.get_by_role("navigation", name="Main")).not_to_contain_text("Access")

    answered(page, "Role of ada", "Role of ada", "Save", role="viewer")
    expect(row(page, "ada").locator("td").nth(1)).to_have_text("viewer")
    ada.reload()
    expect(ada.get_by_role("link", name="New job")).to_have_count(0)

    answered(page, "Disable ada", "Disable ada?", "Disable")
    expect(row(page, "ada")).to_contain_text("disabled")
    ada.reload()
    expect(ada.get_by_role("heading", name="Sign in")).to_be_visible()
    page.get_by_role("button", name="Enable ada").click()
    expect(row(page, "ada")).to_contain_text("active")

    answered(page, "Password of ada", "New password for ada", "Set", password="another good one")
    expect(page.get_by_text("ada has a new password")).to_be_visible()
    ada = by_name(pages, portal, "ada")
    expect(ada.get_by_role("alert")).to_contain_text("wrong")
    ada.get_by_label("Password").last.fill("another good one")
    ada.get_by_role("button", name="Sign in").click()
    expect(ada).to_have_url(f"{portal.url}/jobs")

    answered(page, "Delete ada", "Delete ada?", "Delete")
    expect(page.get_by_role("heading", name="No users yet")).to_be_visible()
    ada.reload()
    expect(ada.get_by_role("heading", name="Sign in")).to_be_visible()


def test_admins_cannot_lock_themselves_out(pages, portal):
    me = a_user(portal.service, "root-of-vision", Role.ADMIN)
    a_user(portal.service, "other")
    page = by_name(pages, portal, "root-of-vision")
    expect(page).to_have_url(f"{portal.url}/jobs")
    page.goto("/access")
    mine = page.locator(f"#{me.id}")
    expect(mine).to_contain_text("you")
    expect(mine.get_by_role("button")).to_have_count(0)
    expect(row(page, "other").get_by_role("button")).to_have_count(4)


def test_who_has_a_password_changes_it(pages, portal, watch):
    watch.allow("status of 4(22|01)")
    a_user(portal.service, "ada")
    elsewhere, page = by_name(pages, portal, "ada"), by_name(pages, portal, "ada")
    for each in (elsewhere, page):
        expect(each).to_have_url(f"{portal.url}/jobs")
    page.locator("summary[aria-label=Account]").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Change your password")
    now, new, again = (dialog.locator(f"[name={name}]") for name in ("old_password", "new_password", "again"))
    expect(now).to_be_focused()
    check_accessibility(page)
    change = dialog.get_by_role("button", name="Change")
    now.fill("not the password")
    new.fill("another good one")
    again.fill("another bad one")
    change.click()
    expect(dialog.locator("[name=again] + .field-error")).to_contain_text("not the same")
    again.fill("another good one")
    change.click()
    expect(dialog.locator("[name=old_password] + .field-error")).to_contain_text("wrong")
    now.fill(PASSWORD)
    change.click()
    expect(page.get_by_text("Your password was changed.")).to_be_visible()
    expect(dialog).to_have_count(0)
    # Here the session goes on, changes too; elsewhere it is over.
    page.locator("summary[aria-label=Account]").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(f"{portal.url}/sign-in")
    elsewhere.reload()
    expect(elsewhere.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(by_name(pages, portal, "ada", "another good one")).to_have_url(f"{portal.url}/jobs")


def test_who_has_a_key_has_no_password_to_change(page, portal):
    portal.sign_in(page).goto("/jobs")
    page.locator("summary[aria-label=Account]").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    expect(page.get_by_role("button", name="Change password")).to_have_count(0)


def test_keys_are_made_shown_once_and_revoked(page, portal, watch):
    watch.allow("status of 422")
    portal.sign_in(page, "vision/admin").goto("/access")
    answered(page, "New key", "New key", "Create", name="Not A Name")
    dialog = page.get_by_role("dialog")
    expect(dialog.locator("[name=name] + .field-error")).to_be_visible()
    dialog.locator("[name=name]").fill("ci")
    dialog.get_by_role("button", name="Create").click()
    notice = page.locator("#new-key")
    expect(notice).to_contain_text("tsk_")
    secret = notice.locator(".mono").text_content()
    with portal.service.http(secret) as http:
        assert http.get("/v1/session").json()["principal"]["name"] == "ci"
        page.reload()
        expect(page.locator("#keys")).to_contain_text("ci")
        assert secret not in page.content()
        answered(page, "Revoke ci", "Revoke the key ci?", "Revoke")
        expect(page.locator("#keys tr").filter(has_text="ci").filter(has_text="revoked")).to_be_visible()
        assert http.get("/v1/session").status_code == 401
    # Not the one in use.
    expect(page.get_by_text("in use here")).to_be_visible()
    expect(page.get_by_role("button", name="Revoke admin")).to_have_count(0)


def test_an_operator_makes_the_first_user_of_a_tenant(pages, portal):
    page = portal.sign_in(pages.open(portal.url), "operator")
    page.goto("/tenants")
    page.get_by_role("link", name="Access of speech").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Access: speech")
    answered(page, "New user", "New user", "Create", name="grace", role="admin", password=PASSWORD)
    expect(row(page, "grace")).to_contain_text("admin")
    page.locator("select[data-goes]").select_option("operators")
    expect(page.get_by_role("heading", level=1)).to_have_text("Access: operators")
    answered(page, "New user", "New user", "Create", name="second", password=PASSWORD)
    expect(row(page, "second")).to_contain_text("operator")
    expect(by_name(pages, portal, "grace", tenant="speech")).to_have_url(f"{portal.url}/jobs")
    expect(by_name(pages, portal, "second", tenant="")).to_have_url(f"{portal.url}/tenants")


@pytest.mark.parametrize("who", ["vision/member", "vision/viewer"])
def test_access_is_for_admins(page, portal, watch, who):
    watch.allow("status of 403")
    assert portal.sign_in(page, who).goto("/access").status == 403
    expect(page.get_by_role("heading", level=1)).to_have_text("Not allowed")
    expect(page.locator("main")).to_contain_text("needs the role admin")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_access_fits_a_phone(pages, portal, theme):
    a_user(portal.service, "a-name-of-as-many-letters-as-a-name-may-have." + "x" * 17)
    page = portal.sign_in(pages.open(portal.url, color_scheme=theme, **PHONE), "vision/admin")
    page.goto("/access")
    expect(page.locator("#users tbody tr")).to_have_count(1)
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    check_accessibility(page)
