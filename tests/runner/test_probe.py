"""The helper for training scripts, in trainings that the runner starts, and outside of them."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import tuning_service
from tuning_service import probe
from tuning_service.domain.state import TaskStatus
from tuning_service.runner.helper import MODULES

PACKAGE = Path(tuning_service.__file__).parent


def test_a_report_survives_redirection_buffers_and_lines_without_an_end(run, room):
    code = """
import contextlib, io, os, sys
from tuning_service import probe
sys.stdout = io.TextIOWrapper(open(1, "wb", closefd=False), write_through=False)
with contextlib.redirect_stdout(io.StringIO()):
    probe.report(step=1, loss=0.5)
for step in range(2, 5):
    print("epoch 7 validation {on} it, test: ", end="")
    probe.report(step, loss=1 / step, other=float("nan"))
    print("\\r[====]", end="")
sys.stdout.close()
probe.report(step=9, loss=0.125)
"""
    outcome = run(code)
    assert outcome.status is TaskStatus.SUCCEEDED, room.log
    found = {(step, value) for metric, step, value in room.measurements if metric == "loss"}
    assert found == {(1, 0.5), (2, 0.5), (3, 1 / 3), (4, 0.25), (9, 0.125)}
    assert sum(metric == "other" and value != value for metric, _, value in room.measurements) == 3  # noqa: PLR0124


def test_reports_without_a_step_are_counted_whatever_the_log_says_of_steps(run, room):
    code = """
from tuning_service import probe
for epoch in (3, 4):
    print("epoch", epoch, "acc=1")
    probe.report(loss=epoch)
    probe.report(loss=epoch + 0.5)
print("acc=2")
"""
    assert run(code).status is TaskStatus.SUCCEEDED, room.log
    assert [(step, value) for metric, step, value in room.measurements if metric == "loss"] == [
        (0, 3.0), (1, 3.5), (2, 4.0), (3, 4.5),
    ]  # fmt: skip
    assert ("acc", 4, 2.0) in room.measurements


def test_only_the_first_of_several_processes_reports(run, room):
    outcome = run(
        "import os; from tuning_service import probe\n"
        "for rank in '012': os.environ['RANK'] = rank; probe.report(step=1, loss=int(rank) + 1)"
    )
    assert outcome.status is TaskStatus.SUCCEEDED
    assert room.measurements == [("loss", 1, 1.0)]


def test_parameters_come_with_their_types_wherever_the_script_goes(run, room):
    code = """
import os
from tuning_service import probe
os.chdir("/")
print(sorted(probe.params(lr=1, epochs=3).items()))
(probe.checkpoint_dir() / "weights").write_text("x")
print(probe.checkpoint_dir().parent == __import__("pathlib").Path(__file__).parent)
probe.report(loss=1)
"""
    outcome = run(code, files={"params.json": '{"lr": 0.5, "flag": true, "name": "a"}'})
    assert outcome.status is TaskStatus.SUCCEEDED, room.log
    assert room.log.splitlines()[:2] == ["[('epochs', 3), ('flag', True), ('lr', 0.5), ('name', 'a')]", "True"]


def test_the_rest_of_an_installed_package_of_the_same_name_is_still_there(run, room, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(PACKAGE.parent))
    assert run("import tuning_service.logs, tuning_service.probe; print('loss=1')").status is TaskStatus.SUCCEEDED
    site = f"import sys; sys.path.append({str(PACKAGE.parent)!r})"
    monkeypatch.delenv("PYTHONPATH")
    code = f"{site}; import tuning_service.probe, tuning_service.domain.ids; print('loss=1')"
    assert run(code).status is TaskStatus.SUCCEEDED, room.log


def test_what_a_training_did_to_the_archive_is_undone(run, work):
    spoil = """
import os
from tuning_service import probe
path = next(entry for entry in os.environ["PYTHONPATH"].split(":") if entry.endswith(".zip"))
open(path, "ab").write(b"spoiled")
probe.report(loss=1)
"""
    assert run(spoil).status is TaskStatus.SUCCEEDED
    assert run("from tuning_service import probe; probe.report(loss=1)").status is TaskStatus.SUCCEEDED
    [archive] = work.glob("*.zip")
    assert not archive.read_bytes().endswith(b"spoiled")


def test_all_modules_are_shipped(run, work):
    run("print('loss=1')")
    [archive] = work.glob("*.zip")
    there = {f"tuning_service/{path.relative_to(PACKAGE)}" for path in (PACKAGE / "probe").glob("*.py")}
    assert {*zipfile.ZipFile(archive).namelist()} == {*there, "tuning_service/__init__.py"}
    assert {path.name for path in (PACKAGE / "probe").glob("*.py")} == set(MODULES)


@pytest.fixture
def outside(monkeypatch, tmp_path):
    for name in ("TUNING_TASK", "TUNING_PROGRAM_DIR", "TUNING_CHECKPOINT_DIR", "RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("outside")
def test_outside_the_service_reports_are_printed_and_parameters_are_the_defaults(capsys, tmp_path, monkeypatch):
    probe.report(step=2, val_loss=0.25)
    assert json.loads(capsys.readouterr().out) == {"step": 2, "val_loss": 0.25}
    assert probe.params(lr=0.1) == {"lr": 0.1}
    assert probe.checkpoint_dir().resolve() == tmp_path / "checkpoints"
    monkeypatch.setenv("TUNING_CHECKPOINT_DIR", str(tmp_path / "kept"))
    assert probe.checkpoint_dir() == tmp_path / "kept"
    assert (tmp_path / "kept").is_dir()


def test_importing_it_imports_nothing_heavy():
    code = (
        "import sys; import tuning_service.probe; print([m for m in ('keras', 'numpy', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
