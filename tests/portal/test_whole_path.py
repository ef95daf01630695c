"""The whole way through the portal: from signing in to a deleted job, on real deployments."""

import copy
import re
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.service import deployed
from tests.faults.forwarder import Forwarder
from tests.portal.browser import check_accessibility
from tests.rest_service import PASSWORD, Driver, Service, a_user
from tuning_service import portal as pages_of_portal
from tuning_service.api import create_app
from tuning_service.client import TuningClient
from tuning_service.domain.state import JobStatus
from tuning_service.settings import Settings
from tuning_service.storage.clock import DatabaseClock
from tuning_service.storage.store import Store
from tuning_service.wiring import managers_of

# One epoch with a tiny rate learns next to nothing, and nothing of the space learns as much as the second.
POINTS = """\
{"optimizer": "adam", "lr": 0.0001, "batch_size": 256, "width": 8, "dropout": 0.6, "weight_decay": 0.000001}
{"optimizer": "adam", "lr": 0.005, "batch_size": 32, "width": 32, "dropout": 0.0, "weight_decay": 0.000001}"""
TRAINING_MS = 150_000  # importing torch takes most of it, and long on a busy machine
_RECORD = """() => {
  window.seen = [];
  const look = () => {
    const text = document.querySelector('#job-head .facts').innerText;
    if (text !== window.seen.at(-1)) window.seen.push(text);
  };
  new MutationObserver(look).observe(document.getElementById('job-head'), {subtree: true, childList: true});
  look();
}"""


def sign_in(page: Page, tenant: str, name: str, password: str = PASSWORD) -> None:
    page.get_by_role("textbox", name="Tenant").fill(tenant)
    page.get_by_role("textbox", name="Name").fill(name)
    page.get_by_role("textbox", name="Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Jobs")


def start_the_digits_example(page: Page, fields: dict[str, str]) -> str:
    """Through the form; `fields` by their names in a job file. The job's id."""
    with page.expect_navigation(url="**/new"):  # until it is loaded, with the script that fills in
        page.get_by_role("navigation", name="Main").get_by_role("link", name="New job").click()
    page.get_by_label("Start from").select_option("example:digits_pytorch")
    expect(page.locator('[data-path="command"]')).to_have_value("python train.py")
    for name, value in fields.items():
        page.locator(f'[data-path="{name}"]').fill(value)
    page.get_by_role("button", name="Start the job").click()
    page.wait_for_url(re.compile("/jobs/job_"))
    return page.url.rsplit("/", 1)[1]


@pytest.mark.spark
@pytest.mark.timeout(300)
def test_a_network_is_tuned_from_sign_in_to_delete(pages, watch, tmp_path):
    watch.allow("status of 404")  # what the other tenant asks for
    with (
        deployed(tmp_path) as deployment,
        TuningClient(deployment.url, deployment.operator_key) as operator,
        closing(pages),  # before the service goes, which they would complain of
    ):
        for tenant in ("vision", "speech"):
            operator.create_tenant(tenant)
            operator.create_user("ada", PASSWORD, tenant=tenant)
        page, other = pages.open(deployment.url), pages.open(deployment.url)
        page.goto("/")
        sign_in(page, "vision", "ada")
        expect(page.get_by_role("heading", name="No jobs yet")).to_be_visible()
        file = {"command": "python train.py --epochs 2", "points": POINTS, "budget.parallel": "1"}
        job = start_the_digits_example(page, file | {"budget.trials": "20"})

        # It is watched as it runs, in one page that is not loaded again.
        page.evaluate(_RECORD)
        facts = page.locator("#job-head .facts")
        expect(facts).to_contain_text(re.compile(r"[2-9] of 20"), timeout=TRAINING_MS)
        seen = page.evaluate("() => window.seen")
        assert any("none yet" in text and "1 running" in text for text in seen), seen
        best = [float(found[1]) for text in seen if (found := re.search(r"BEST.*\s+(0\.\d+)", text, re.IGNORECASE))]
        assert len(set(best)) > 1, seen
        assert best == sorted(best)
        assert best[-1] > 0.8

        # Somebody of another tenant, meanwhile.
        other.goto("/sign-in")
        sign_in(other, "speech", "ada")
        expect(other.get_by_role("heading", name="No jobs yet")).to_be_visible()
        for address in (f"/jobs/{job}", f"/jobs/{job}/trials/0", f"/v1/tuning-jobs/{job}", f"/live/{job}"):
            assert other.goto(address).status == 404
        assert other.context.request.post(f"{deployment.url}/v1/tuning-jobs/{job}/stop").status in {403, 404}

        # The best trial: why it is the best, and what it printed.
        facts.get_by_role("link", name=re.compile(r"^trial \d+$")).click()
        expect(page.get_by_text("best so far")).to_be_visible()
        expect(page.locator("#log-text")).to_contain_text("val_accuracy=")
        page.locator("#chart-curves").scroll_into_view_if_needed()
        expect(page.locator("#chart-curves")).to_have_attribute("data-drawn", re.compile(r"\d"))
        check_accessibility(page)

        # Stopped and deleted.
        page.goto(f"/jobs/{job}")
        page.get_by_role("button", name="Stop", exact=True).click()
        page.get_by_role("button", name="Stop the job").click()
        expect(page.locator("#job-head .badge")).to_have_text("stopped")
        page.locator("#more summary").click()
        page.get_by_role("button", name="Delete…").click()
        with page.expect_navigation(url="**/jobs"):
            page.get_by_role("button", name="Delete the job").click()
        expect(page.get_by_role("heading", name="No jobs yet")).to_be_visible()


@contextmanager
def another_manager(first: Service, folder: Path) -> Iterator[Service]:
    """A second process of the interface, as far as that shows: managers of its own on the same database."""
    store = Store.open(first.store.engine.url.render_as_string(hide_password=False))
    settings = Settings(data_dir=str(folder), artifacts_url=str(folder / "artifacts"))
    managers = managers_of(settings, store, DatabaseClock(store.engine), lambda _job: None)
    second = copy.copy(first)
    second.app = create_app(managers, is_ready=lambda: "")
    pages_of_portal.install(second.app)
    try:
        yield second
    finally:
        managers.plugins.close()
        managers.analysis.close()
        store.close()


def test_any_manager_behind_a_load_balancer_answers_anything(pages, watch, portal, tmp_path):
    watch.allow("ERR_")  # the one that goes away
    a_user(portal.service, "ada")
    with another_manager(portal.service, tmp_path) as second, ExitStack() as running:
        running.enter_context(second.served())
        ports = [int(each.url.rsplit(":", 1)[1]) for each in (portal.service, second)]
        balancer = running.enter_context(Forwarder(ports))
        page = pages.open(balancer.url)
        page.goto("/sign-in")
        sign_in(page, "vision", "ada")
        job = start_the_digits_example(page, {"budget.trials": "4"})
        page.goto("/jobs")
        row = page.locator(f"#row-{job}")
        expect(row).to_contain_text("created")
        expect(page.locator("#live-state")).to_have_text("Live")
        driver = Driver(portal.service, job)
        driver.set_status(JobStatus.RUNNING)
        expect(row).to_contain_text("running")
        driver.add_trial(0).complete(0.25)
        expect(row).to_contain_text("1 of 4")

        portal.stop()  # one of the two: who looked through it goes on with the other
        page.goto(f"/jobs/{job}")
        page.get_by_role("button", name="Stop", exact=True).click()
        page.get_by_role("button", name="Stop the job").click()
        expect(page.locator("#job-head .badge")).to_have_text("running → stopping")
        driver.set_status(JobStatus.STOPPED)
        expect(page.locator("#job-head .badge")).to_have_text("stopped")
        portal.start()
