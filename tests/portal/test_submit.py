"""The form for a new job, as somebody who fills it in sees it."""

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.portal.browser import PHONE, Pages, check_accessibility, held_back
from tests.portal.conftest import Portal
from tests.rest_service import MAX_UPLOAD, PASSWORD, Driver, Service, a_user, archive, submit, upload
from tuning_service.domain.state import JobStatus, Role

CAFFE = Path(__file__).resolve().parents[2] / "examples" / "digits_caffe"


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """One service for all: each test has a browser of its own, and so a form of its own."""
    portal = Portal(Service(tmp_path_factory.mktemp("portal")))
    portal.start()
    try:
        yield portal
    finally:
        portal.stop()
        portal.service.plugins.close()
        portal.service.store.close()


def opened(pages: Pages, portal: Portal, address: str = "/new", **options: Any) -> Page:
    page = portal.sign_in(pages.open(portal.url, **options))
    page.goto(address)
    ready(page)
    return page


def ready(page: Page) -> None:
    """The page's module has run: it has asked for the first preview."""
    expect(page.locator("#yaml")).not_to_have_value("")


def submitted(portal: Portal, **changes: Any) -> str:
    with portal.service.http() as http:
        answer = submit(http, **changes)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def jobs(portal: Portal) -> list[dict[str, Any]]:
    with portal.service.http() as http:
        return list(http.get("/v1/tuning-jobs").json()["items"])


def started(page: Page, portal: Portal) -> dict[str, Any]:
    """Starts the job of the form; its job file as the service has it."""
    page.get_by_role("button", name="Start the job").click()
    expect(page).to_have_url(re.compile("/jobs/job_"))
    job_id = page.url.rpartition("/")[2]
    with portal.service.http() as http:
        return dict(http.get(f"/v1/tuning-jobs/{job_id}").json()["spec"])


def field(page: Page, path: str) -> Locator:
    return page.locator(f'#job [data-path="{path}"]')


def parameter(page: Page, name: str = "", **fields: str) -> Locator:
    """A new parameter with these fields, by their keys in the form."""
    page.get_by_role("button", name="Add a parameter").click()
    row = page.locator(".parameter").last
    row.locator("[data-key=name]").fill(name)
    for key, text in fields.items():
        item = row.locator(f"[data-key={key.rstrip('_')}]")
        item.select_option(text) if key in {"type", "scale", "parent"} else item.fill(text)
    return row


def begin(page: Page, digest: str = "") -> None:
    """All that a job needs but for its space."""
    field(page, "name").fill("digits")
    if digest:
        field(page, "program").select_option(digest)
    field(page, "command").fill("python train.py")
    page.locator(".objective [data-key=metric]").first.fill("val_accuracy")


def wrong(page: Page, path: str) -> Locator:
    """The note beside the field that problems with this path belong to."""
    return page.locator(f'#job [data-path="{path}"] + .field-error, #job [data-field="{path}"] + .field-error')


def document(page: Page) -> str:
    return page.locator("#yaml").input_value()


def expect_yaml(page: Page, *texts: str) -> None:
    for text in texts:
        expect(page.locator("#yaml")).to_have_value(re.compile(re.escape(text)))


def test_every_kind_of_parameter_and_choice_reaches_the_job(pages: Pages, portal: Portal) -> None:
    page = opened(pages, portal)
    with portal.service.http() as http:
        program = upload(http)
    page.reload()
    begin(page, program)
    parameter(page, "lr", type="float", min="1e-4", max=".3", scale="log", default="0.01")
    parameter(page, "drop", type="float", min="0", max="0.5", step="0.1")
    parameter(page, "batch", type="int", min="16", max="256", scale="pow2")
    parameter(page, "opt", type="categorical", values="sgd, \"a, b\", 'it''s', \"0.5\", 0.5, true", default="sgd")
    parameter(page, "size", type="ordinal", values="small, medium, large")
    parameter(page, "nesterov", type="bool")
    parameter(page, "seed_", type="fixed", value="7")
    parameter(page, "momentum", min="-0.5", max="0.99", parent="opt", when='sgd, "a, b"')
    field(page, "constraints").fill("lr < 0.2\nmomentum + drop <= 1")
    field(page, "points").fill('{"lr": 0.1, "opt": "sgd"}\nlr: 0.02, opt: "a, b"')
    page.get_by_role("button", name="Add an objective").click()
    second = page.locator(".objective").nth(1)
    second.locator("[data-key=metric]").fill("latency_ms")
    second.locator("[data-key=goal]").select_option("minimize")
    second.locator("[data-key=summary]").select_option("last")
    field(page, "metric_constraints").fill("latency_ms <= 20")
    field(page, "algorithm.name").select_option("tpe")
    page.get_by_text("Options of tpe").click()
    page.locator("[data-option=gamma]").fill("0.5")
    field(page, "budget.trials").fill("12")
    field(page, "budget.parallel").fill("3")
    field(page, "budget.minutes").fill("1.5")
    field(page, "resources.cpus").fill("2")
    field(page, "arguments").select_option("dashes")
    page.get_by_text("environment, log patterns").click()
    field(page, "seed").fill("5")
    expect_yaml(page, "dashes", "seed: 5", "gamma: 0.5")
    expect(page.locator("#samples tbody tr:first-child td")).to_have_count(5)
    expect(page.locator("#samples tbody")).to_contain_text("momentum")
    expect(page.locator(".field-error.found")).to_have_count(0)
    check_accessibility(page)

    spec = started(page, portal)
    space = spec["space"]
    assert space["lr"] == {"type": "float", "min": 1e-4, "max": 0.3, "scale": "log", "default": 0.01}
    assert space["drop"]["step"] == 0.1
    assert (space["batch"]["type"], space["batch"]["scale"]) == ("int", "pow2")
    assert space["opt"]["values"] == ["sgd", "a, b", "it's", "0.5", 0.5, True]
    assert space["size"] == {"type": "ordinal", "values": ["small", "medium", "large"]}
    assert space["nesterov"] == {"type": "bool"}
    assert space["seed_"] == {"type": "fixed", "value": 7}
    assert space["momentum"]["when"] == {"opt": ["sgd", "a, b"]}
    assert spec["constraints"] == ["lr < 0.2", "momentum + drop <= 1"]
    assert [point["opt"] for point in spec["points"]] == ["sgd", "a, b"]
    assert [one["metric"] for one in spec["objective"]] == ["val_accuracy", "latency_ms"]
    assert spec["objective"][1]["summary"] == "last"
    assert spec["algorithm"]["name"] == "tpe"
    assert spec["algorithm"]["options"]["gamma"] == 0.5
    assert (spec["budget"]["trials"], spec["budget"]["parallel"], spec["budget"]["minutes"]) == (12, 3, 1.5)
    assert (spec["resources"]["cpus"], spec["arguments"], spec["seed"]) == (2, "dashes", 5)
    page.goto("/new")  # what was sent is not offered again
    ready(page)
    expect(field(page, "name")).to_have_value("")
    expect(page.locator("#notice")).to_be_hidden()


def test_what_is_missing_is_only_named_until_somebody_wants_to_start(pages: Pages, portal: Portal) -> None:
    page = opened(pages, portal)
    expect(page.locator("#needed")).to_contain_text("Name of the job")
    expect(page.locator("#needed")).to_contain_text("a parameter")
    expect(page.locator(".field-error")).to_have_count(0)
    row = parameter(page, "lr", min="0.5")
    expect(page.locator("#needed")).to_contain_text("To (Parameter lr)")
    expect(page.locator(".field-error")).to_have_count(0)
    row.locator("[data-key=max]").fill("0.1")
    expect(wrong(page, "space.lr.min")).to_have_text("Min 0.5 is greater than max 0.1. Swap them.")
    row.locator("[data-key=max]").fill("0,9")
    expect(wrong(page, "space.lr.max")).to_have_text('"0,9" is no number. Decimals follow a point: 0.9.')
    row.locator("[data-key=max]").fill("0.9")
    expect(page.locator(".field-error")).to_have_count(0)
    field(page, "budget.minutes").fill("1,000")
    expect(wrong(page, "budget.minutes")).to_contain_text("1.000, or 1000 for thousands")
    page.keyboard.press("Enter")  # which starts nothing by itself
    before = len(jobs(portal))
    page.get_by_role("button", name="Start the job").click()
    expect(field(page, "name")).to_be_focused()
    expect(wrong(page, "name")).to_have_text("Fill this in.")
    expect(wrong(page, "budget.minutes")).to_be_visible()
    assert len(jobs(portal)) == before


def test_a_refused_start_shows_each_problem_beside_its_field(pages: Pages, portal: Portal, watch: Any) -> None:
    watch.allow("status of 422")
    page = opened(pages, portal)
    page.get_by_role("button", name="Start the job").click()
    expect(field(page, "name")).to_be_focused()
    for path in ("name", "command", "objective.metric"):
        expect(wrong(page, path)).to_have_text("Fill this in.")
    expect(wrong(page, "program")).to_have_text("Choose one.")
    expect(page.locator("#space > .field-error")).to_be_visible()
    expect(page.locator("#count")).to_contain_text("problems")
    check_accessibility(page)
    field(page, "name").fill("digits")
    expect(wrong(page, "name")).to_have_count(0)
    expect(wrong(page, "command")).to_be_visible()
    row = parameter(page)
    page.get_by_role("button", name="Start the job").click()
    expect(field(page, "program")).to_be_focused()
    expect(row).to_contain_text("Name the parameter as your program calls it")
    row.locator("[data-key=name]").fill("lr")
    twin = parameter(page, "lr")
    expect(twin.locator("label", has_text="Name")).to_contain_text("lr is there already")


def test_text_and_form_say_the_same_in_both_directions(pages: Pages, portal: Portal) -> None:
    page = opened(pages, portal, f"/new?from={submitted(portal)}")
    expect_yaml(page, "momentum: {type: float, min: 0, max: 0.99, when: {optimizer: [sgd]}}")
    text = page.locator("#yaml")
    changed = document(page).replace("trials: 4", "trials: 40").replace("max: 0.99", "max: 0.5, default: 0.25")
    text.fill(changed)
    expect(field(page, "budget.trials")).to_have_value("40")
    momentum = page.get_by_role("group", name="Parameter momentum")
    expect(momentum.locator("[data-key=default]")).to_have_value("0.25")
    expect(momentum.locator("[data-key=parent]")).to_have_value("optimizer")
    # Typing goes on where it was: nothing is written into the text under somebody's hands.
    text.evaluate("item => { const at = item.value.indexOf('digits'); item.focus(); item.setSelectionRange(at, at) }")
    page.keyboard.type("two ")
    expect(field(page, "name")).to_have_value("two digits")
    page.keyboard.type("x")
    expect(field(page, "name")).to_have_value("two xdigits")
    expect(text).to_be_focused()
    offered = field(page, "framework").locator("option").count()
    for name in ("pytor", "pytorchx"):
        text.fill(re.sub("framework: .*", f"framework: {name}", document(page)))
        expect(field(page, "framework")).to_have_value(name)
    expect(wrong(page, "framework")).to_be_visible()
    text.fill(document(page).replace("pytorchx", "pytorch"))
    expect(field(page, "framework")).to_have_value("pytorch")
    expect(field(page, "framework").locator("option")).to_have_count(offered)
    # Another name of a parent is followed by those that depend on it.
    row = page.get_by_role("group", name="Parameter optimizer")
    name = row.locator("[data-key=name]")
    name.fill("")
    page.locator(".parameter [data-key=name]").nth(1).press_sequentially("opt")
    expect_yaml(page, "when: {opt: [sgd]}")
    expect(page.locator(".field-error")).to_have_count(0)


def test_what_the_form_has_no_field_for_is_kept(pages: Pages, portal: Portal) -> None:
    page = opened(pages, portal, f"/new?from={submitted(portal)}")
    expect_yaml(page, "momentum")
    text = (
        document(page)
        .replace("when: {optimizer: [sgd]}", "when: {optimizer: [sgd], warm: [true]}")
        .replace("  momentum:", "  warm: {type: bool}\n  momentum:")
        .replace("trials: 4", "trails: 9, trials: 4")
    )
    page.locator("#yaml").fill(f"{text}lerning: 3\n")
    problems = page.locator("#yaml-problems")
    expect(problems).to_contain_text("lerning: is not a known field.")
    expect(problems).to_contain_text("budget.trails: is not a known field. Did you mean 'trials'?")
    expect(page.locator("#rest")).to_contain_text("lerning")
    expect(page.get_by_role("group", name="Parameter momentum")).to_contain_text("And only when warm is one of true")
    problems.get_by_role("button").last.click()
    chosen = "item => item.value.slice(item.selectionStart, item.selectionEnd)"
    expect(page.locator("#yaml")).to_be_focused()
    assert page.locator("#yaml").evaluate(chosen) == "lerning: 3"
    field(page, "name").fill("changed in the form")
    expect_yaml(page, "changed in the form", "lerning: 3", "trails: 9", "warm: [true]")
    page.locator("#yaml").fill(document(page).replace("lerning: 3\n", "").replace("trails: 9, ", ""))
    expect(page.locator(".field-error")).to_have_count(0)
    assert started(page, portal)["space"]["momentum"]["when"] == {"optimizer": ["sgd"], "warm": [True]}


def test_a_text_that_cannot_be_read_is_not_lost(pages: Pages, portal: Portal) -> None:
    page = opened(pages, portal, f"/new?from={submitted(portal)}")
    expect_yaml(page, "momentum")
    text = document(page)
    broken = text.replace("  lr: {", "  lr: {{")
    page.locator("#yaml").fill(broken)
    line = broken[: broken.index("  lr: {{")].count("\n") + 1
    problem = page.locator("#yaml-problems")
    expect(problem.get_by_role("button")).to_have_text(re.compile(rf"^Line ({line}|{line + 1})$"))
    expect(page.locator("#yaml-state")).to_contain_text("Cannot be read")
    expect(field(page, "budget.trials")).to_have_value("4")
    check_accessibility(page)
    page.get_by_role("button", name="Start the job").click()
    expect(page.locator("#yaml")).to_be_focused()
    expect(page.get_by_role("button", name="Start the job")).to_be_visible()
    with page.expect_response("**/preview"):
        field(page, "budget.trials").fill("7")
    expect(page.locator("#yaml")).to_have_value(broken)
    page.reload()
    expect(page.locator("#yaml")).to_have_value(broken)
    expect(problem.get_by_role("button")).to_be_visible()
    page.get_by_role("button", name="Rewrite it from the form").click()
    expect_yaml(page, "trials: 7")
    assert "{{" not in document(page)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#yaml")).to_have_value(broken)


def test_what_is_changed_in_the_form_while_the_text_is_wrong_is_kept(pages: Pages, portal: Portal) -> None:
    page = opened(pages, portal, f"/new?from={submitted(portal)}")
    expect_yaml(page, "momentum")
    text = document(page)
    page.locator("#yaml").fill(text.replace("  lr: {", "  lr: {{"))
    expect(page.locator("#yaml-state")).to_contain_text("Cannot be read")
    with page.expect_response("**/preview"):
        field(page, "budget.trials").fill("7")
    page.reload()
    expect(page.locator("#yaml-state")).to_contain_text("Cannot be read")
    page.locator("#yaml").fill(text.replace("max: 0.3", "max: 0.2"))
    expect(page.get_by_role("group", name="Parameter lr").locator("[data-key=max]")).to_have_value("0.2")
    expect(page.locator("#notice")).to_contain_text("changed in the form meanwhile was kept")
    expect(field(page, "budget.trials")).to_have_value("7")
    expect_yaml(page, "max: 0.2", "trials: 7")


def test_two_jobs_are_filled_in_at_once(pages: Pages, portal: Portal) -> None:
    job_id = submitted(portal)
    page = opened(pages, portal, f"/new?from={job_id}")
    field(page, "name").fill("first")
    expect_yaml(page, "name: first")
    other = page.context.new_page()
    other.goto(f"/new?from={job_id}")
    expect(field(other, "name")).to_have_value("first")  # as it was left in this browser
    field(other, "name").fill("second")
    expect_yaml(other, "name: second")
    page.reload()
    expect(field(page, "name")).to_have_value("first")
    started(page, portal)
    other.reload()
    expect(field(other, "name")).to_have_value("second")
    other.close()  # and is not lost with its page
    page.goto(f"/new?from={job_id}")
    expect(field(page, "name")).to_have_value("second")


def test_nothing_can_be_entered_before_it_is_kept(pages: Pages, portal: Portal) -> None:
    page = portal.sign_in(pages.open(portal.url))
    held = held_back(page, "**/submit.js")
    page.goto("/new", wait_until="commit")
    choice = page.get_by_label("Start from")
    expect(choice).to_be_disabled()
    expect(page.get_by_role("button", name="Clear")).to_be_disabled()
    field(page, "name").evaluate("input => input.focus()")
    expect(field(page, "name")).not_to_be_focused()  # so that nothing can be written
    held.at(0).continue_()
    choice.select_option(value="example:digits_pytorch")
    expect(field(page, "name")).to_have_value("digits-pytorch")


def test_the_last_choice_counts(pages: Pages, portal: Portal) -> None:
    page = opened(pages, portal)
    held = held_back(page, "**/v1/examples/digits_pytorch")
    choice = page.get_by_label("Start from")
    with page.expect_request("**/v1/examples/digits_pytorch"):
        choice.select_option(value="example:digits_pytorch")
    choice.select_option(value="example:digits_caffe")
    expect(field(page, "framework")).to_have_value("caffe")
    with page.expect_response("**/v1/examples/digits_pytorch"):
        held.at(0).continue_()
    field(page, "name").fill("goes on")
    expect_yaml(page, "goes on", "framework: caffe")


def test_nothing_beside_the_form_is_cut(pages: Pages, portal: Portal) -> None:
    space = {f"p{i:02}_{'x' * 60}": {"type": "float", "min": 1e-7, "max": 1} for i in range(20)}
    job_id = submitted(portal, space=space, name="数字 " + "long-name-" * 19)
    page = opened(pages, portal, f"/new?from={job_id}")
    expect(page.locator("#samples tbody tr")).to_have_count(20)
    for width in (1280, 1000, 375):
        page.set_viewport_size({"width": width, "height": 900})
        for part in ("#samples", "#yaml", "aside[aria-label='Job file and preview']"):
            assert page.locator(part).evaluate("part => part.scrollWidth <= part.clientWidth"), (part, width)
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), width


def test_it_starts_from_an_example(pages: Pages, portal: Portal) -> None:
    page = opened(pages, portal)
    field(page, "name").fill("mine")
    choice = page.get_by_label("Start from")
    choice.select_option(value="example:digits_pytorch")
    expect(page.locator("#notice")).to_contain_text("Filled in from the example")
    expect_yaml(page, "framework: pytorch", "lr:")
    expect(page.locator(".field-error")).to_have_count(0)
    expect(page.locator("#program-files")).to_contain_text("files")
    page.get_by_role("button", name="Undo").click()
    expect(field(page, "name")).to_have_value("mine")
    expect(page.locator(".parameter")).to_have_count(0)
    choice.select_option(value="example:digits_pytorch")
    expect(page.locator(".parameter").first).to_be_visible()
    assert started(page, portal)["framework"] == "pytorch"


def test_it_starts_from_a_copy_of_a_job_with_one_of_its_trials_first(pages: Pages, portal: Portal, watch: Any) -> None:
    watch.allow("status of 404")
    job_id = submitted(portal, name="Ziffern 数字", points=[{"lr": 0.2}])
    driver = Driver(portal.service, job_id)
    driver.set_status(JobStatus.RUNNING)
    driver.add_trial(0, {"lr": 0.0123, "optimizer": "adam"}).complete(0.5)
    page = opened(pages, portal)
    field(page, "name").fill("begun before")
    expect_yaml(page, "begun before")
    page.goto(f"/new?from={job_id}&point=0")
    expect(page.locator("#notice")).to_contain_text("trial 0 is tried first")
    expect(field(page, "name")).to_have_value("Ziffern 数字")
    expect(field(page, "points")).to_have_value(re.compile("0.0123.*\n.*0.2"))
    field(page, "name").fill("a copy, changed")
    expect_yaml(page, "a copy, changed")
    page.reload()  # which does not begin with the copy again
    expect(field(page, "name")).to_have_value("a copy, changed")
    page.goto("/new?from=job_none")
    expect(page.locator("#notice")).to_contain_text("Nothing was filled in")


def test_a_zip_and_a_folder_are_uploaded(pages: Pages, portal: Portal, tmp_path: Path) -> None:
    page = opened(pages, portal)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("train.py", "print('val_accuracy=0.5')")
        file.writestr("data/größe 数.txt", "x")
    page.locator("#archive").set_input_files(
        {"name": "p.zip", "mimeType": "application/zip", "buffer": buffer.getvalue()}
    )
    expect(page.locator("#upload-state")).to_have_text("Uploaded p.zip: 2 files.")
    expect(field(page, "command")).to_have_value("python train.py")
    page.get_by_text("2 files", exact=True).click()
    expect(page.locator(".files")).to_contain_text("data/größe 数.txt")

    folder = tmp_path / "program"
    long = "deep/" * 22 + "file.txt"
    for name in (
        "main.py",
        "data/größe 数.txt",
        long,
        "notes/a.tmp",
        "__pycache__/main.pyc",
        ".git/HEAD",
        "runs/1/model.bin",
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (folder / ".tuningignore").write_text("# what stays behind\n*.tmp\nruns/\n")
    page.locator("#folder").set_input_files(folder)
    expect(page.locator("#upload-state")).to_have_text("Uploaded the folder: 4 files.")
    digest = field(page, "program").input_value()
    with portal.service.http() as http:
        assert http.get(f"/v1/programs/{digest}").json()["files"] == sorted(
            [".tuningignore", "main.py", "data/größe 数.txt", long]
        )
        for name in ("data/größe 数.txt", long):
            assert http.get(f"/v1/programs/{digest}/files/{name}").text == name
    check_accessibility(page)


def test_what_is_no_program_is_refused_beside_the_upload(
    pages: Pages, portal: Portal, tmp_path: Path, watch: Any
) -> None:
    watch.allow("status of 422")
    page = opened(pages, portal)
    state = page.locator("#upload-state")

    def choose(name: str, data: bytes) -> None:
        page.locator("#archive").set_input_files({"name": name, "mimeType": "application/zip", "buffer": data})

    choose("notes.zip", b"no archive at all")
    expect(state).to_have_class(re.compile("field-error"))
    expect(state).to_contain_text(re.compile("zip|tar"))
    choose("empty.zip", b"")
    expect(state).to_contain_text("empty.zip is empty")
    choose("large.zip", b"x" * (MAX_UPLOAD + 1))
    expect(state).to_contain_text("large.zip has 195.3 KiB")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w"):
        pass
    choose("nothing.zip", buffer.getvalue())
    expect(state).to_contain_text("holds no files")
    (tmp_path / "f" / "__pycache__").mkdir(parents=True)
    (tmp_path / "f" / "__pycache__" / "a.pyc").write_text("x")
    page.locator("#folder").set_input_files(tmp_path / "f")
    expect(state).to_contain_text("The folder holds no files to train with")
    (tmp_path / "f" / "data.bin").write_bytes(b"\0" * (21 * MAX_UPLOAD))
    page.locator("#folder").set_input_files(tmp_path / "f")
    expect(state).to_contain_text("or list them in a file .tuningignore")
    expect(page.get_by_role("button", name="Start the job")).to_be_enabled()
    choose("good.tar.gz", archive())
    expect(state).to_have_text("Uploaded good.tar.gz: 1 file.")
    expect(state).not_to_have_class(re.compile("field-error"))


def test_a_job_does_not_start_with_another_program_than_the_one_that_was_meant(
    pages: Pages, portal: Portal, watch: Any
) -> None:
    watch.allow("status of 422|ERR_FAILED")
    page = opened(pages, portal, f"/new?from={submitted(portal)}")
    expect_yaml(page, "momentum")
    before = len(jobs(portal))
    held = held_back(page, "**/v1/programs")
    for number in (1, 2):
        with page.expect_request("**/v1/programs"):
            page.locator("#archive").set_input_files(
                {
                    "name": f"{number}.tar.gz",
                    "mimeType": "application/gzip",
                    "buffer": archive({f"{number}.py": b"print(1)"}),
                }
            )
    held.at(1).continue_()
    expect(page.locator("#upload-state")).to_have_text("Uploaded 2.tar.gz: 1 file.")
    with page.expect_response("**/v1/programs"):
        held.at(0).continue_()  # arrives late
    expect(page.locator("#program-files li")).to_have_text("2.py")
    with page.expect_request("**/v1/programs"):
        page.locator("#archive").set_input_files({"name": "3.zip", "mimeType": "application/zip", "buffer": b"none"})
    page.get_by_role("button", name="Start the job").click()
    held.at(2).continue_()
    expect(page.locator("#upload-state")).to_have_class(re.compile("field-error"))
    expect(page.get_by_role("button", name="Start the job")).to_be_visible()
    assert len(jobs(portal)) == before


def test_an_archive_that_leads_out_of_its_folder_is_refused(pages: Pages, portal: Portal, watch: Any) -> None:
    watch.allow("status of 422")
    page = opened(pages, portal)
    state = page.locator("#upload-state")

    for path in ("../train.py", "/etc/train.py", "a/../../train.py"):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as file:
            file.writestr(path, "x")
        page.locator("#archive").set_input_files(
            {"name": "out.zip", "mimeType": "application/zip", "buffer": buffer.getvalue()}
        )
        expect(state).to_contain_text(path)
    expect(state).to_have_class(re.compile("field-error"))
    expect(field(page, "program")).to_have_value("")


def test_placeholders_of_templates_are_offered_as_parameters(pages: Pages, portal: Portal) -> None:
    page = opened(pages, portal)
    page.locator("#folder").set_input_files(CAFFE)
    expect(field(page, "framework")).to_have_value("caffe")
    expect(field(page, "command")).to_have_attribute("placeholder", "caffe train --solver=solver.prototxt")
    offers = page.get_by_role("group", name="Placeholders")
    expect(offers.locator("li", has_text="BASE_LR")).to_contain_text("0.0001 to 0.1, log · solver.prototxt, line")
    offers.get_by_role("button", name="Add BASE_LR").click()
    row = page.get_by_role("group", name="Parameter BASE_LR")
    expect(row.locator("[data-key=scale]")).to_have_value("log")
    expect(offers.get_by_role("button", name="Add BASE_LR")).to_have_count(0)
    offers.get_by_role("button", name="Add all").click()
    expect(offers).to_be_hidden()
    field(page, "name").fill("caffe")
    page.locator(".objective [data-key=metric]").fill("accuracy")
    expect(page.locator("#samples tbody tr:first-child td")).to_have_count(5)
    expect(page.locator("#needed")).to_have_text("")
    check_accessibility(page)
    assert "SOLVER_TYPE" in started(page, portal)["space"]


def test_what_was_entered_outlives_reload_sign_out_and_others(pages: Pages, portal: Portal) -> None:
    a_user(portal.service, "ada")
    page = opened(pages, portal)
    field(page, "name").fill("half")
    parameter(page, min="0,1")  # without a name, and wrong
    page.reload()
    ready(page)
    expect(field(page, "name")).to_have_value("half")
    expect(page.locator(".parameter [data-key=min]")).to_have_value("0,1")
    expect(page.locator("#notice")).to_contain_text("What you had entered here before has been restored.")
    page.locator("summary[aria-label=Account]").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile("/sign-in"))
    answer = page.context.request.post(
        f"{portal.url}/v1/session", data={"tenant": "vision", "name": "ada", "password": PASSWORD}
    )
    assert answer.ok
    page.goto("/new")
    ready(page)
    expect(field(page, "name")).to_have_value("")
    page.context.clear_cookies()
    portal.sign_in(page).goto("/new")
    expect(field(page, "name")).to_have_value("half")
    page.get_by_role("button", name="Start anew").click()
    expect(field(page, "name")).to_have_value("")
    page.reload()
    ready(page)
    expect(page.locator("#notice")).to_be_hidden()


def test_a_session_that_ends_costs_nothing_of_what_was_entered(pages: Pages, portal: Portal, watch: Any) -> None:
    watch.allow("status of 401")
    page = opened(pages, portal, f"/new?from={submitted(portal)}")
    expect(page.locator("#samples tbody tr:first-child td")).to_have_count(5)
    page.context.clear_cookies()
    field(page, "name").fill("after the end")
    dialog = page.get_by_role("dialog", name="Your session has expired")
    dialog.get_by_label("API key").fill(portal.service.key)
    dialog.get_by_role("button", name="Sign in").click()
    expect(dialog).to_have_count(0)
    expect(field(page, "name")).to_be_focused()
    expect_yaml(page, "after the end")
    page.context.clear_cookies()
    page.get_by_role("button", name="Start the job").click()
    dialog.get_by_label("API key").fill(portal.service.key)
    dialog.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile("/jobs/job_"))
    assert [job["name"] for job in jobs(portal)[:2]] == ["after the end", "digits"]


def test_nothing_is_sent_for_another_tenant(pages: Pages, portal: Portal, watch: Any) -> None:
    watch.allow("status of 40[134]")
    page = opened(pages, portal, f"/new?from={submitted(portal)}")
    expect_yaml(page, "momentum")
    portal.sign_in(page, "speech/member")  # in another tab
    page.get_by_role("button", name="Start the job").click()
    expect(page.locator("#rest")).to_contain_text("signed in to another tenant")
    with portal.service.http(portal.service.keys["speech/member"]) as http:
        assert http.get("/v1/tuning-jobs").json()["items"] == []
    # Nor is the form left to who signs in again as somebody of another tenant.
    page.context.clear_cookies()
    page.get_by_role("button", name="Start the job").click()
    dialog = page.get_by_role("dialog", name="Your session has expired")
    dialog.get_by_label("API key").fill(portal.service.keys["speech/member"])
    dialog.get_by_role("button", name="Sign in").click()
    expect(page.locator("#notice")).to_contain_text("Nothing was filled in")
    expect(field(page, "name")).to_have_value("")
    expect(page.get_by_role("button", name="Start the job")).to_be_enabled()


def test_two_clicks_and_a_lost_answer_make_one_job(pages: Pages, portal: Portal, watch: Any) -> None:
    watch.allow("ERR_FAILED")
    page = opened(pages, portal, f"/new?from={submitted(portal)}")
    expect_yaml(page, "momentum")
    before = len(jobs(portal))
    sent = []

    def lose(route: Route) -> None:
        sent.append(route.request.headers["idempotency-key"])
        route.fetch()  # the service has it; the answer does not arrive
        route.abort()

    page.route("**/v1/tuning-jobs", lose)
    page.get_by_role("button", name="Start the job").dblclick()
    expect(page.locator("#rest")).to_contain_text("The service cannot be reached")
    page.unroute("**/v1/tuning-jobs")
    page.get_by_role("button", name="Start the job").click()
    expect(page).to_have_url(re.compile("/jobs/job_"))
    assert len(sent) == 1
    assert len(jobs(portal)) == before + 1
    page.go_back()  # the form is not there to be sent a second time
    expect_yaml(page, "momentum")
    expect(page.get_by_role("button", name="Start the job")).not_to_have_attribute("aria-disabled", "true")


def test_who_may_not_start_jobs_is_told(pages: Pages, portal: Portal, watch: Any) -> None:
    watch.allow("status of 403")
    for who, text in (
        ("vision/viewer", "needs the role member; yours is viewer"),
        ("operator", "belongs to no tenant"),
    ):
        page = portal.sign_in(pages.open(portal.url), who)
        page.goto("/new")
        expect(page.get_by_role("main")).to_contain_text(text)


def test_sixty_parameters_stay_quick(pages: Pages, portal: Portal) -> None:
    space = {f"p{i:02}_{'x' * 60}": {"type": "float", "min": 0, "max": 1} for i in range(60)}
    page = opened(pages, portal, f"/new?from={submitted(portal, space=space)}")
    expect(page.locator(".parameter")).to_have_count(60)
    previews: list[str] = []
    page.on("request", lambda request: previews.append(request.url) if request.url.endswith("/preview") else None)
    expect(page.locator("#samples tbody tr:first-child td")).to_have_count(5)
    previews.clear()
    name = page.locator(".parameter [data-key=name]").first
    name.press_sequentially("_and_more")
    expect_yaml(page, "and_more")
    assert len(previews) < 9, "each key asks the service"
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    expect(name).to_be_focused()


def test_it_fits_a_phone_and_needs_no_mouse(pages: Pages, portal: Portal) -> None:
    job_id = submitted(portal, name="Ziffern 数字 أرقام " + "long-name-" * 17)
    page = opened(pages, portal, f"/new?from={job_id}", **PHONE, color_scheme="dark")
    expect(page.locator("#samples tbody tr:first-child td")).to_have_count(5)
    assert page.evaluate("() => document.documentElement.scrollWidth") == PHONE["viewport"]["width"]
    check_accessibility(page)
    page.get_by_role("button", name="Add a parameter").focus()
    page.keyboard.press("Enter")
    page.keyboard.type("depth")
    page.keyboard.press("Tab")
    page.keyboard.type("whole")
    page.keyboard.press("Tab")
    page.keyboard.type("2")
    page.keyboard.press("Tab")
    page.keyboard.type("8")
    expect_yaml(page, "depth: {type: int, min: 2, max: 8}")
    page.get_by_role("button", name="Remove parameter depth").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("group", name="Parameter depth")).to_have_count(0)
    expect(page.locator(".parameter [data-key=name]").last).to_be_focused()
    page.keyboard.press("Control+Enter")
    expect(page).to_have_url(re.compile("/jobs/job_"))
    assert jobs(portal)[0]["name"] == jobs(portal)[1]["name"]


def test_a_member_whose_role_was_taken_is_told_when_sending(pages: Pages, portal: Portal, watch: Any) -> None:
    watch.allow("status of 403")
    user = a_user(portal.service, "bob", Role.MEMBER)
    page = pages.open(portal.url)
    page.context.request.post(
        f"{portal.url}/v1/session", data={"tenant": "vision", "name": "bob", "password": PASSWORD}
    )
    page.goto(f"/new?from={submitted(portal)}")
    expect_yaml(page, "momentum")
    portal.service.users.change(
        portal.service.principal(portal.service.keys["vision/admin"]), user.id, role=Role.VIEWER
    )
    page.get_by_role("button", name="Start the job").click()
    expect(page.locator("#rest")).to_contain_text("role")
    expect(page.get_by_role("button", name="Start the job")).to_be_enabled()
