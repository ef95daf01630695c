"""Whose fault the end of a training was, and in which word."""

import pytest

from tuning_service.domain.state import Decision, TaskStatus
from tuning_service.domain.trial import FaultKind
from tuning_service.runner import follow
from tuning_service.runner.environments import EnvironmentFault
from tuning_service.runner.oom import oom_kills
from tuning_service.runner.protocol import outcome_from_json
from tuning_service.runner.run import run_ticket
from tuning_service.runner.training import Exit
from tuning_service.runner.verdict import Training, judge, not_here, without_environment

REDIRECTED = """
import sys, io
from tuning_service import probe
sys.stdout = io.StringIO()
probe.infeasible("batch 4096 does not fit")
"""
PROGRAM, CLUSTER, INFEASIBLE = FaultKind.PROGRAM, FaultKind.CLUSTER, FaultKind.INFEASIBLE


def judged(code, log="", **changes):
    known = {
        "exit": Exit(code=code),
        "decision": Decision.CONTINUE,
        "missing": (),
        "never_finite": (),
        "explain": str,
        "log_tail": log,
        "elapsed_s": 1.0,
        "time_limit_s": None,
    }
    return judge(Training(**known | changes))


def traceback(error):
    return f'epoch 1\nTraceback (most recent call last):\n  File "t.py", line 1, in <module>\n    f()\n{error}\n'


@pytest.mark.parametrize(
    ("error", "fault", "failure"),
    [
        ("ValueError: bad lr", PROGRAM, "crashed"),
        ("MemoryError", PROGRAM, "out of memory"),
        ("x.MemoryError: 8 EiB", PROGRAM, "out of memory"),
        ("RuntimeError: DefaultCPUAllocator: can't allocate memory", PROGRAM, "out of memory"),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB.", PROGRAM, "out of GPU memory"),
        ("torch.cuda.OutOfMemoryError: CUDA out of memory.", PROGRAM, "out of GPU memory"),
        ("framework.errors_impl.ResourceExhaustedError: Graph execution error:", PROGRAM, "out of GPU memory"),
        ("OSError: [Errno 28] No space left on device: '/tmp/weights.pt'", CLUSTER, "disk full"),
        ("torch.AcceleratorError: CUDA error: uncorrectable ECC error encountered", CLUSTER, "gpu failed"),
        ("RuntimeError: No CUDA GPUs are available", CLUSTER, "gpu failed"),
        ("RuntimeError: CUDA error: an illegal memory access was encountered", PROGRAM, "crashed"),
        ("elastic.multiprocessing.api.SignalException: Process 7 got signal: 15", CLUSTER, "pre-empted"),
    ],
)  # fmt: skip
def test_the_error_of_a_traceback_tells_whose_fault_it_was(error, fault, failure):
    ended = judged(1, traceback(error), has_gpus=True)
    assert (ended.fault, ended.failure) == (fault, failure)
    assert ended.status is (TaskStatus.LOST if fault is CLUSTER else TaskStatus.FAILED)
    assert ended.reason == f"exit code 1: {error}"


def test_an_error_that_led_to_the_last_one_counts_and_one_that_was_overcome_does_not():
    full = "OSError: [Errno 28] No space left on device"
    chained = f"{traceback(full)}\nDuring handling of the above exception, another exception occurred:\n\n"
    assert judged(1, chained + traceback("RuntimeError: no checkpoint")).failure == "disk full"
    overcome = f"{traceback('torch.OutOfMemoryError: CUDA out of memory')}trying half the batch\n"
    assert judged(1, overcome + traceback("ValueError: bad lr")).failure == "crashed"


def test_without_a_traceback_the_last_lines_tell_and_old_ones_do_not():
    sign = "dd: error writing 'x': No space left on device\n"
    ended = judged(2, f"step 1\n{sign}giving up\n")
    assert (ended.status, ended.failure, ended.reason) == (TaskStatus.LOST, "disk full", "exit code 2 (disk full)")
    assert judged(2, sign + "step\n" * 30).failure == "crashed"


def test_a_gpu_that_a_trial_was_not_given_is_the_programs_fault():
    ended = judged(1, traceback("RuntimeError: No CUDA GPUs are available"), has_gpus=False)
    assert (ended.fault, ended.failure) == (PROGRAM, "crashed")


@pytest.mark.parametrize(
    ("code", "killed", "fault", "failure", "reason"),
    [
        (-9, True, PROGRAM, "out of memory", "killed by SIGKILL: the memory ran out"),
        (137, True, PROGRAM, "out of memory", "exit code 137: the memory ran out"),
        (-9, False, PROGRAM, "crashed", "killed by SIGKILL; the memory may have run out"),
        (-11, True, PROGRAM, "crashed", "killed by SIGSEGV"),
        (-15, False, CLUSTER, "pre-empted", "killed by SIGTERM: the executor is being ended or pre-empted"),
        (143, False, CLUSTER, "pre-empted", "exit code 143: the executor is being ended or pre-empted"),
    ],
)
def test_signals_tell_memory_and_pre_emption_apart(code, killed, fault, failure, reason):
    ended = judged(code, oom_killed=killed)
    assert (ended.fault, ended.failure, ended.reason) == (fault, failure, reason)


def test_the_kernels_count_of_kills_is_read_from_the_cgroup_or_else_from_the_machine(tmp_path):
    assert oom_kills(tmp_path) == 0
    proc, fs = tmp_path / "proc", tmp_path / "sys/fs/cgroup"
    (proc / "self").mkdir(parents=True)
    (fs / "memory/box").mkdir(parents=True)
    (fs / "pod").mkdir()
    (proc / "vmstat").write_text("pgfault 9\noom_kill 7\n")
    assert oom_kills(tmp_path) == 7
    (proc / "self/cgroup").write_text("4:cpu,memory:/box\n0::/\n")
    (fs / "memory/box/memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n")
    assert oom_kills(tmp_path) == 3
    (proc / "self/cgroup").write_text("0::/pod\n")
    (fs / "pod/memory.events").write_text("low 0\noom 2\noom_kill 1\noom_group_kill 0\n")
    assert oom_kills(tmp_path) == 1


def test_a_training_that_the_kernel_killed_meanwhile_ran_out_of_memory(run, monkeypatch):
    counts = iter([4, 5])
    monkeypatch.setattr(follow, "oom_kills", lambda: next(counts))
    outcome = run("import os; os.kill(os.getpid(), 9)")
    assert (outcome.fault, outcome.failure) == (PROGRAM, "out of memory")


@pytest.mark.parametrize(
    "code",
    [
        "print('infeasible: batch 4096 does not fit'); raise SystemExit(77)",
        "from tuning_service import probe; probe.infeasible('batch 4096\\ndoes not fit')",
        REDIRECTED,
    ],
)
def test_a_program_may_say_that_its_configuration_cannot_be_trained(run, code):
    outcome = run(code)
    assert outcome.status is TaskStatus.FAILED
    assert (outcome.fault, outcome.failure, outcome.reason) == (INFEASIBLE, "infeasible", "batch 4096 does not fit")
    assert outcome.explanation == ""


def test_infeasible_needs_the_exit_code_and_no_words():
    assert judged(77).fault is INFEASIBLE
    assert "exit code 77" in judged(77).reason
    assert judged(1, "infeasible: or so\n").fault is PROGRAM
    torchrun = "[default1]:infeasible: odd\nRoot Cause (first observed failure):\n[0]:\n  time : x\n  host : y\n  rank : 1 (local_rank: 1)\n  exitcode  : {} (pid: 3)\n"  # noqa: E501
    assert (judged(1, torchrun.format(77)).fault, judged(1, torchrun.format(77)).reason) == (INFEASIBLE, "odd")
    assert judged(1, torchrun.format(1)).fault is PROGRAM


@pytest.mark.parametrize(
    ("changes", "failure"),
    [
        ({"exit": Exit(code=-9, timed_out=True), "time_limit_s": 6.0}, "timed out"),
        ({"missing": ("loss",)}, "no metric"),
        ({"never_finite": ("loss",)}, "nan"),
    ],
)
def test_other_ends_have_their_words(changes, failure):
    assert (judged(0, **changes).fault, judged(0, **changes).failure) == (PROGRAM, failure)


def test_a_full_disk_of_the_executor_is_the_clusters_fault_also_while_packages_are_installed():
    assert not_here("no folder", OSError(28, "No space left on device")).failure == "disk full"
    assert not_here("no folder", OSError(13, "Permission denied")).failure == "executor"
    full = EnvironmentFault("pip install failed", "ERROR: [Errno 28] No space left on device")
    assert without_environment(full).fault is CLUSTER
    assert without_environment(EnvironmentFault("pip install failed", "no such package")).fault is FaultKind.ENVIRONMENT


def test_an_outcome_of_another_version_is_read():
    older = {"status": "failed", "fault": "program", "reason": "x"}
    assert outcome_from_json(older).failure == ""
    assert outcome_from_json(older | {"failure": "odd", "colour": "red"}).failure == "odd"


def test_a_runner_on_an_executor_that_is_left_out_waits_and_begins_when_it_may(run, room):
    parks = iter([(202, b'{"seconds": 0.1, "reason": "left out"}')] * 2)
    room.trouble = lambda _method, path, _body: next(parks, None) if path.endswith("/claim") else None
    assert run("print('loss=0.5')").status is TaskStatus.SUCCEEDED
    assert [path for _, path in room.requests].count("/v1/tasks/task_1/claim") == 3


def test_a_runner_whose_task_has_gone_elsewhere_lets_go_of_its_slot(room, prepare, work):
    prepare("print('loss=0.5')")
    answers = iter([(202, b'{"seconds": 0.1, "reason": "left out"}')])
    room.trouble = lambda *_: next(answers, (410, b"{}"))
    run_ticket(room.ticket(), 0, ())
    assert len(room.requests) == 2
    assert not work.exists()
