"""No process is left behind, whoever dies."""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from tests.machine import children_of, command_of, with_mark
from tests.waiting import wait_for
from tuning_service.domain.state import Decision, TaskStatus
from tuning_service.domain.trial import FaultKind
from tuning_service.runner.run import run_ticket
from tuning_service.runner.training import CouldNotStart, SupervisorProcess

MARK = "MARK_OF_THE_TEST"

# Children in several ways: a plain one, one in a session of its own, and a daemon that forked twice, deaf to SIGTERM.
FAMILY = """
import os, signal, subprocess, sys, time
if len(sys.argv) > 1 and sys.argv[1] == "sleep":
    time.sleep(600)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, __file__, "sleep"])
subprocess.Popen([sys.executable, __file__, "sleep"], start_new_session=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.close(1), os.close(2)
        time.sleep(600)
    os._exit(0)
os.wait()
print("loss=1", flush=True)
"""


@pytest.fixture
def marked():
    """A mark for the environment of trainings; at the end no process has it."""
    mark = f"{MARK}={os.urandom(8).hex()}"
    yield mark
    left = with_mark(mark)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


def environment(mark):
    return dict([mark.split("=")])


def test_children_and_daemons_end_with_the_training(run, marked):
    outcome = run(FAMILY, environment=environment(marked))
    assert outcome.status is TaskStatus.SUCCEEDED
    assert not with_mark(marked)


def test_children_and_daemons_end_on_a_decision(room, prepare, marked):
    prepare(FAMILY + "time.sleep(600)", environment=environment(marked))
    family = []
    at = []

    def trouble(method, path, body):
        if "report" in path and len(with_mark(marked)) == 4 and not at:
            family.extend(with_mark(marked))
            at.append(time.monotonic())
            room.decision = Decision.STOP

    room.trouble = trouble
    run_ticket(room.ticket(), 0, ())
    assert time.monotonic() - at[0] < 2
    assert len(family) == 4
    assert room.outcome.status is TaskStatus.STOPPED
    assert not with_mark(marked)


def test_children_and_daemons_end_on_a_time_out(run, marked):
    outcome = run(FAMILY + "time.sleep(600)", environment=environment(marked), time_limit_s=1)
    assert outcome.reason == "timed out after 1 s"
    assert not with_mark(marked)


def test_processes_that_fork_without_end_are_ended(run, marked):
    code = (
        "import os\nprint('loss=1', flush=True)\nfor _ in range(3): os.fork()\nwhile True:\n  if os.fork(): os._exit(0)"
    )
    outcome = run(code, environment=environment(marked), time_limit_s=1)
    assert outcome.status in {TaskStatus.SUCCEEDED, TaskStatus.FAILED}
    assert not with_mark(marked)


@pytest.fixture
def worker(room, work, marked):
    """Starts a runner in a process of its own, as a Spark worker is: it and all that it starts are `marked`."""
    started = []

    def start():
        code = (
            "import json, signal, sys\nfrom tuning_service.runner.run import run_ticket\n"
            "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"  # it is ignored under nohup
            "from tuning_service.runner.protocol import TaskTicket\n"
            "run_ticket(TaskTicket(**json.loads(sys.argv[1])), 0, ())"
        )
        ticket = room.ticket()
        data = {"task_id": ticket.task_id, "token": ticket.token, "service_url": ticket.service_url}
        arguments = [sys.executable, "-c", code, json.dumps(data)]
        process = subprocess.Popen(arguments, cwd=Path(__file__).parents[2], env=os.environ | environment(marked))
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_nothing_survives_the_worker(room, prepare, worker, work, marked, number):
    prepare(FAMILY + "time.sleep(600)")
    process = worker()
    # The family of four, their supervisor and the worker.
    wait_for(lambda: room.measurements and len(with_mark(marked)) == 6)
    assert list(work.glob("task-*"))
    os.kill(process.pid, number)
    process.wait()
    wait_for(lambda: not with_mark(marked), within_s=10)
    wait_for(lambda: not list(work.glob("task-*")), within_s=10)


def test_worker_that_ends_in_peace_leaves_no_supervisor(room, prepare, worker, marked):
    prepare("print('loss=1')")
    process = worker()
    assert process.wait(30) == 0
    assert room.outcome.status is TaskStatus.SUCCEEDED
    wait_for(lambda: not with_mark(marked), within_s=10)


def test_training_of_a_killed_supervisor_ends_and_is_lost(room, prepare, marked):
    prepare(FAMILY + "time.sleep(600)", environment=environment(marked))
    killed = []

    def trouble(method, path, body):
        if "report" in path and not killed and len(with_mark(marked)) == 4:
            [supervisor] = [pid for pid in children_of(os.getpid()) if b"\0-I\0-S\0-\0" in command_of(pid)]
            os.kill(supervisor, signal.SIGKILL)
            killed.append(supervisor)

    room.trouble = trouble
    run_ticket(room.ticket(), 0, ())
    assert killed
    assert room.outcome.status is TaskStatus.LOST
    assert room.outcome.fault is FaultKind.CLUSTER
    assert not with_mark(marked)
    # The next task gets a supervisor of its own.
    prepare("print('loss=1')")
    run_ticket(room.ticket(), 0, ())
    assert room.outcome.status is TaskStatus.SUCCEEDED


def test_supervisor_that_was_killed_while_idle_is_replaced(room, prepare):
    prepare("print('loss=1')")
    run_ticket(room.ticket(), 0, ())
    [supervisor] = [pid for pid in children_of(os.getpid()) if b"\0-I\0-S\0-\0" in command_of(pid)]
    os.kill(supervisor, signal.SIGKILL)
    run_ticket(room.ticket(), 0, ())
    assert room.outcome.status is TaskStatus.SUCCEEDED


def test_interrupted_worker_ends_its_training(room, prepare, work, marked, monkeypatch):
    class Interrupted(BaseException):
        pass

    prepare(FAMILY + "time.sleep(600)", environment=environment(marked))

    def interrupt(*_):
        if len(with_mark(marked)) == 4:
            raise Interrupted

    monkeypatch.setattr("tuning_service.runner.reporter.Reporter.pump", interrupt)
    with pytest.raises(Interrupted):
        run_ticket(room.ticket(), 0, ())
    assert not with_mark(marked)
    assert not list(work.glob("task-*"))


def test_training_gets_no_descriptor_of_the_supervisors(run, room):
    run("import os; print('loss=1'); print(sorted(os.listdir('/proc/self/fd')))")
    # 0, 1, 2 and the one that lists them
    assert len(room.log.splitlines()[1].split(",")) == 4


def test_supervisor_serves_one_training_after_another(tmp_path):
    supervisor = SupervisorProcess()
    try:
        for code in range(3):
            training = supervisor.start(["/bin/sh", "-c", f"echo hello; exit {code}"], {}, str(tmp_path))
            assert training.read_exit().code == code
            assert os.read(training.output, 100) == b"hello\n"
            assert os.read(training.output, 100) == b""
            training.close()
        with pytest.raises(CouldNotStart, match="embedded null"):
            supervisor.start(["a\0b"], {}, str(tmp_path))
        with pytest.raises(CouldNotStart, match="No such file"):
            supervisor.start(["/absent"], {}, str(tmp_path))
    finally:
        supervisor.close()


def test_large_environment_and_odd_bytes_reach_the_training(tmp_path):
    supervisor = SupervisorProcess()
    try:
        value = "x" * 100_000 + "\udcff ü"
        training = supervisor.start(["/bin/sh", "-c", 'printf "%s" "$BIG"'], {"BIG": value}, str(tmp_path))
        data = b""
        while part := os.read(training.output, 65536):
            data += part
        assert training.read_exit().code == 0
        assert data == os.fsencode(value)
        training.close()
    finally:
        supervisor.close()


def test_runner_works_from_a_zip_with_nothing_but_python(room, prepare, tmp_path):
    prepare("print('loss=1')")
    root = Path(__file__).parents[2]
    archive = tmp_path / "shipped.zip"
    with zipfile.ZipFile(archive, "w") as shipped:
        for floor in ("", "domain", "logs", "runner", "probe"):
            for path in (root / "tuning_service" / floor).glob("*.py"):
                shipped.write(path, path.relative_to(root))
    code = (
        f"import sys; sys.path.insert(0, {str(archive)!r})\nfrom tuning_service.runner.run import run_ticket\n"
        "from tuning_service.runner.protocol import TaskTicket\n"
        "assert '.zip' in run_ticket.__code__.co_filename\n"
        f"run_ticket(TaskTicket(task_id='task_1', token='tok_1', service_url={room.url!r}), 0, ())"
    )
    # -S and -I: no installed package can help.
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, cwd=tmp_path, timeout=60)
    assert room.outcome.status is TaskStatus.SUCCEEDED
