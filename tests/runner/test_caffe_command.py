"""The command caffe on an executor, with a program of that name or without one."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from tuning_service.domain.state import TaskStatus
from tuning_service.domain.trial import FaultKind
from tuning_service.runner.bundle import digest, pack
from tuning_service.runner.caffe import with_caffe
from tuning_service.runner.run import run_ticket

FAKE = """#!/bin/sh
echo "caffe got $@"
cat solver.prototxt
echo loss=0.25
"""
ARGV = ("caffe", "train", "--solver=solver.prototxt")


def program_of(room, tmp_path, **files):
    folder = tmp_path / "program"
    for name, text in files.items():
        (folder / f"{name}.prototxt").write_text(text)
    room.program = pack(folder)
    room.plan = replace(room.plan, program=digest(room.program))


def run_caffe(room, prepare, tmp_path, solver, **plan):
    prepare("", argv=ARGV, templates=("*.prototxt",), **plan)
    program_of(room, tmp_path, solver=solver)
    run_ticket(room.ticket(), 0, ())
    return room.outcome


def test_an_executors_own_caffe_is_used_with_the_templates_filled(room, prepare, tmp_path, monkeypatch):
    binary = tmp_path / "bin" / "caffe"
    binary.parent.mkdir()
    binary.write_text(FAKE)
    binary.chmod(0o755)
    monkeypatch.setenv("PATH", f"{binary.parent}:/usr/bin:/bin")
    outcome = run_caffe(room, prepare, tmp_path, "base_lr: BASE_LR\n# BASE_LR\n", values={"BASE_LR": 0.125})
    assert outcome.status is TaskStatus.SUCCEEDED, outcome
    assert room.log.splitlines()[:3] == ["caffe got train --solver=solver.prototxt", "base_lr: 0.125", "# BASE_LR"]


def test_what_caffe_said_before_it_gave_up_is_the_reason(room, prepare, tmp_path, monkeypatch):
    binary = tmp_path / "bin" / "caffe"
    binary.parent.mkdir()
    binary.write_text(
        "#!/bin/sh\n"
        "echo 'F0614 12:30:01.000123  4242 syncedmem.cpp:71] Check failed: error == cudaSuccess (2 vs. 0)'\n"
        "echo '*** Check failure stack trace: ***'\nkill -ABRT $$\n"
    )
    binary.chmod(0o755)
    monkeypatch.setenv("PATH", f"{binary.parent}:/usr/bin:/bin")
    outcome = run_caffe(room, prepare, tmp_path, "")
    assert outcome.reason == "killed by SIGABRT: Check failed: error == cudaSuccess (2 vs. 0)"


def test_what_the_runtime_said_before_it_gave_up_is_the_reason(room, prepare, tmp_path):
    outcome = run_caffe(room, prepare, tmp_path, "base_lr: 0.1")
    assert (outcome.status, outcome.fault) == (TaskStatus.FAILED, FaultKind.PROGRAM)
    assert outcome.reason.startswith("exit code 1: Check failed: the solver names no net to train"), outcome.reason


def test_files_of_the_program_do_not_take_the_place_of_the_runtimes_modules(room, prepare, tmp_path, monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)  # "." in it would mean the program's folder
    for name in ("queue.py", "numpy.py", "tuning_service/__init__.py"):
        path = tmp_path / "program" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("raise SystemExit(7)\n")
    outcome = run_caffe(room, prepare, tmp_path, "base_lr: 0.1")
    assert outcome.reason.startswith("exit code 1: Check failed: the solver names no net to train"), outcome.reason


def test_without_one_the_runtime_comes_with_the_task(prepare, room, tmp_path):
    prepare("", argv=ARGV, modules=("torch",))
    base = {"PATH": "/usr/bin:/bin", "PYTHONPATH": "/elsewhere"}
    plan, environment = with_caffe(room.plan, base, tmp_path)
    assert plan.argv == ("python", "-m", "tuning_service.caffe", "train", "--solver=solver.prototxt")
    assert plan.modules == ("torch",)
    program = "import tuning_service.caffe.text as t; print(t.__file__, t.read_solver('base_lr: 0.25').base_lr)"
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    path, rate = done.stdout.split()
    assert Path(path).is_relative_to(tmp_path)
    assert rate == "0.25"
    assert environment["PYTHONPATH"].endswith(":/elsewhere")


def test_with_one_nothing_is_asked_of_the_python_there_and_other_programs_are_let_alone(prepare, room, tmp_path):
    caffe = tmp_path / "caffe"
    caffe.write_text(FAKE)
    caffe.chmod(0o755)
    base = {"PATH": str(tmp_path)}
    prepare("", argv=ARGV, modules=("torch",))
    plan, environment = with_caffe(room.plan, base, tmp_path)
    assert (plan.argv, plan.modules, environment) == (ARGV, (), base)
    prepare("", modules=("torch",))
    assert with_caffe(room.plan, base, tmp_path) == (room.plan, base)


def test_a_template_that_is_no_text_is_the_programs_fault(room, prepare, tmp_path):
    prepare("", argv=ARGV, templates=("*.prototxt",))
    (tmp_path / "program" / "solver.prototxt").write_bytes(b"\xff\xfe")
    program_of(room, tmp_path)
    run_ticket(room.ticket(), 0, ())
    assert (room.outcome.status, room.outcome.fault) == (TaskStatus.FAILED, FaultKind.PROGRAM)
