"""What operators do, every dialog of it: pools, tenants and their quotas; and what was used, month by month."""

import re
import time

import pytest
from playwright.sync_api import Locator, Page, expect
from sqlalchemy import insert

from tests.portal.browser import PHONE, check_accessibility
from tests.portal.conftest import Portal
from tests.rest_service import a_controller
from tuning_service.storage.tables import usage
from tuning_service.storage.usage import month_of


def opened(page: Page, button: str, title: str) -> Locator:
    """The dialog that this button opens."""
    page.get_by_role("button", name=button, exact=True).click()
    return page.get_by_role("dialog", name=title)


SERVING = {"pool": "h100", "host": "控制器-1"}


def sent(dialog: Locator, yes: str) -> None:
    dialog.get_by_role("button", name=yes, exact=True).click()


def problem(dialog: Locator, field: str) -> Locator:
    return dialog.locator(f"[name={field}] + .field-error")


def test_a_pool_from_its_making_to_its_end(page, portal, watch):
    watch.allow("status of 4(22|09)")
    with portal.service.store.write() as unit:
        unit.pools.heard_of(a_controller(**SERVING, skew_s=0.25))
    portal.sign_in(page, "operator").goto("/pools")
    dialog = opened(page, "New pool", "New pool")
    dialog.locator("[name=name]").fill("H 100")
    dialog.locator("[name=master]").fill("spark://spark:7077")
    dialog.locator("[name=conf]").fill('{"spark.executor.memory": ')
    dialog.locator("[name=price]").fill("two")
    sent(dialog, "Create")
    expect(problem(dialog, "conf")).to_contain_text("not JSON")
    expect(problem(dialog, "price")).to_contain_text("no number")
    dialog.locator("[name=conf]").fill('{"spark.executor": {"memory": "8g"}}')
    dialog.locator("[name=price]").fill("2.5")
    sent(dialog, "Create")
    expect(problem(dialog, "conf")).to_contain_text("must be a valid string", ignore_case=True)
    dialog.locator("[name=conf]").fill('{"spark.executor.memory": "8g"}')
    sent(dialog, "Create")
    expect(problem(dialog, "name")).to_contain_text("lower-case")
    expect(dialog.locator(".field-error")).to_have_count(1)
    check_accessibility(page)
    dialog.locator("[name=name]").fill("h100")
    sent(dialog, "Create")
    card = page.locator("#pool-h100")
    expect(card).to_contain_text("available")
    expect(card).to_contain_text("2.50")
    expect(card.get_by_role("row").filter(has_text="控制器-1")).to_contain_text("connected")

    card.get_by_role("button", name="Change").click()
    dialog = page.get_by_role("dialog", name="Change h100")
    expect(dialog.locator("[name=price]")).to_have_value("2.5")
    dialog.locator("[name=price]").fill("-1")
    sent(dialog, "Save")
    expect(problem(dialog, "price")).to_be_visible()
    dialog.locator("[name=price]").fill("3")
    dialog.locator("[name=tenants]").fill("vision, nobody")
    sent(dialog, "Save")
    expect(problem(dialog, "tenants")).to_contain_text("nobody")
    dialog.locator("[name=tenants]").fill("vision")
    sent(dialog, "Save")
    expect(card).to_contain_text("3.00")
    expect(card.locator("dd").last).to_have_text("vision")
    # A pool for nobody does not become one for all when something else is changed.
    for wanted in ("-", None):
        card.get_by_role("button", name="Change").click()
        if wanted is not None:
            dialog.locator("[name=tenants]").fill(wanted)
        expect(dialog.locator("[name=tenants]")).to_have_value("-")
        sent(dialog, "Save")
        expect(dialog).to_have_count(0)
        expect(card.locator("dd").last).to_have_text("no tenant")

    card.get_by_role("button", name="Drain").click()
    sent(page.get_by_role("dialog", name="Drain h100?"), "Drain")
    expect(card.get_by_role("heading", level=2)).to_contain_text("drained")
    card.get_by_role("button", name="Take trials again").click()
    expect(card.get_by_role("heading", level=2)).to_contain_text("available")

    card.get_by_role("button", name="Cordon…").click()
    dialog = page.get_by_role("dialog", name="Leave out an executor of h100")
    sent(dialog, "Leave out")
    expect(problem(dialog, "host")).to_have_text("Is empty. Fill it in.")
    dialog.locator("[name=host]").fill("spark://node7")
    sent(dialog, "Leave out")
    expect(problem(dialog, "host")).to_have_text("Holds a slash. Leave it out.")
    dialog.locator("[name=host]").fill("node7.cluster")
    dialog.locator("[name=reason]").fill("its disk is <b>replaced</b>")
    dialog.locator("[name=minutes]").fill("-5")
    sent(dialog, "Leave out")
    expect(problem(dialog, "minutes")).to_be_visible()
    dialog.locator("[name=minutes]").fill("60")
    sent(dialog, "Leave out")
    row = card.get_by_role("row").filter(has_text="node7.cluster")
    expect(row).to_contain_text("its disk is <b>replaced</b>")
    row.get_by_role("button", name="Uncordon").click()
    expect(row).to_have_count(0)

    card.get_by_role("button", name="Forget").click()
    sent(page.get_by_role("dialog", name="Forget the pool h100?"), "Forget")
    expect(page.locator(".toast", has_text="stop it first")).to_be_visible()
    with portal.service.store.write() as unit:
        unit.pools.heard_of(a_controller(**SERVING, seen_at=0.0))
    card.get_by_role("button", name="Forget").click()
    sent(page.get_by_role("dialog", name="Forget the pool h100?"), "Forget")
    expect(card).to_have_count(0)


def test_a_tenant_sees_its_pools_and_no_more(page, portal):
    with portal.service.http(portal.service.operator_key) as http:
        made = {"name": "theirs", "master": "local[2]", "tenants": ["speech"]}
        assert http.post("/v1/pools", json=made).status_code == 201
        assert http.post("/v1/pools", json={"name": "ours", "master": "spark://secret:7077"}).status_code == 201
    portal.sign_in(page, "vision/admin").goto("/pools")
    expect(page.locator("#pool-ours")).to_contain_text("no controller serves the pool 'ours'")
    main = page.locator("main")
    expect(main).not_to_contain_text("theirs")
    expect(main).not_to_contain_text("secret")
    expect(main.get_by_role("button")).to_have_count(0)


def test_tenants_are_made_and_given_quotas(page, portal, watch):
    watch.allow("status of 4(22|09)")
    portal.sign_in(page, "operator").goto("/tenants")
    dialog = opened(page, "New tenant", "New tenant")
    dialog.locator("[name=name]").fill("Robots!")
    dialog.locator("[name=max_storage_bytes]").fill("much")
    sent(dialog, "Create")
    expect(problem(dialog, "max_storage_bytes")).to_contain_text("no size")
    dialog.locator("[name=max_storage_bytes]").fill("1.5 gib")
    sent(dialog, "Create")
    expect(problem(dialog, "name")).to_contain_text("lower-case")
    dialog.locator("[name=name]").fill("vision")
    sent(dialog, "Create")
    expect(dialog.get_by_role("alert")).to_contain_text("vision")
    dialog.locator("[name=name]").fill("robots")
    dialog.locator("[name=weight]").fill("0.5")
    sent(dialog, "Create")
    row = page.get_by_role("row").filter(has_text="robots")
    expect(row).to_contain_text("of 1.5 GiB")
    check_accessibility(page)

    dialog = opened(page, "Change robots", "Change robots")
    expect(dialog.locator("[name=weight]")).to_have_value("0.5")
    expect(dialog.locator("[name=max_storage_bytes]")).to_have_value("1536 MiB")
    dialog.locator("[name=weight]").fill("0")
    dialog.locator("[name=max_jobs]").fill("2.5")
    sent(dialog, "Save")
    expect(problem(dialog, "max_jobs")).to_contain_text("no whole number")
    dialog.locator("[name=max_jobs]").fill("20")
    sent(dialog, "Save")
    expect(problem(dialog, "weight")).to_contain_text("at least 0.001")
    dialog.locator("[name=weight]").fill("3")
    dialog.locator("[name=max_storage_bytes]").fill("")
    sent(dialog, "Save")
    expect(row).to_contain_text("0 of 20")
    expect(row).not_to_contain_text("GiB")
    with portal.service.http(portal.service.operator_key) as http:
        (made,) = [t for t in http.get("/v1/tenants").json()["items"] if t["name"] == "robots"]
    assert (made["weight"], made["max_jobs"], made["max_storage_bytes"]) == (3.0, 20, None)


def test_a_dialog_needs_no_mouse_and_cancel_changes_nothing(page, portal):
    portal.sign_in(page, "operator").goto("/tenants")
    button = page.get_by_role("button", name="Change vision", exact=True)
    button.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Change vision")
    expect(dialog.locator("[name=weight]")).to_be_focused()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text("7")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    expect(dialog.locator("[name=weight]")).to_have_value(re.compile("^1"))
    page.keyboard.press("Control+A")
    page.keyboard.insert_text("7")
    page.keyboard.press("Enter")
    expect(page.get_by_role("row").filter(has_text="vision").locator("td").nth(1)).to_have_text("7")


@pytest.mark.parametrize("who", ["vision/admin", "vision/viewer"])
def test_tenants_are_for_operators(page, portal, watch, who):
    watch.allow("status of 403")
    assert portal.sign_in(page, who).goto("/tenants").status == 403
    expect(page.get_by_role("heading", level=1)).to_have_text("Not allowed")


def used(portal: Portal, tenant: str, months: int) -> None:
    """This many months of use in two pools, more in each than in the one before; the last is this one."""
    owner = portal.service.principal(portal.service.keys[f"{tenant}/member"])
    now = time.gmtime()
    rows = []
    for ago in range(months):
        year, month = divmod(12 * now.tm_year + now.tm_mon - 1 - ago, 12)
        size = months - ago
        for pool, price in (("default", 0.0), ("h100", 2.5)):
            spent = {"tasks": 10 * size, "cpu_s": 7200.0 * size, "gpu_s": 3600.0 * size, "cost": price * size}
            rows.append({"tenant_id": owner.tenant_id, "month": f"{year:04d}-{month + 1:02d}", "pool": pool, **spent})
    with portal.service.store.engine.begin() as connection:
        connection.execute(insert(usage), rows)


def test_usage_is_told_by_month_and_pool(page, portal):
    used(portal, "vision", 3)
    used(portal, "speech", 12)
    portal.sign_in(page).goto("/usage")
    main = page.locator("main")
    expect(main).to_contain_text("vision")
    expect(main).not_to_contain_text("speech")
    table = page.get_by_role("region", name="Usage of vision by month")
    months = table.get_by_role("rowheader")
    expect(months).to_have_count(3)
    expect(months.first).to_have_text(f"{month_of(time.time())} so far")
    cells = table.get_by_role("row").nth(1).get_by_role("cell")
    expect(cells).to_have_text(["all", "60", "12.00", "6.00", "7.50", ""])
    expect(table.get_by_role("img").first).to_have_attribute("aria-label", "100 % of the largest month")
    expect(table.get_by_role("row").filter(has_text="h100").first).to_contain_text("7.50")
    expect(main).to_contain_text("Nothing was used in the months before.")
    check_accessibility(page)

    portal.sign_in(page, "operator").goto("/usage")
    expect(page.get_by_role("region", name="Usage of speech by month").get_by_role("rowheader")).to_have_count(12)
    expect(main.get_by_role("heading", level=2)).to_have_text(["speech", "vision"])
    page.goto("/usage?tenant=vision")
    expect(main.get_by_role("heading", level=2)).to_have_text(["vision"])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pages_of_operators_fit_a_phone(pages, portal, theme):
    used(portal, "vision", 2)
    with portal.service.store.write() as unit:
        unit.pools.heard_of(a_controller(host="h" * 200, connected=False, problem="No route to the master. " * 20))
    page = portal.sign_in(pages.open(portal.url, color_scheme=theme, **PHONE), "operator")
    for path in ("/pools", "/tenants", "/usage", "/access", "/algorithms"):
        page.goto(path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), path
        check_accessibility(page)
