import hashlib
import json
import os
import resource
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tuning_service.domain.state import Decision, TaskStatus
from tuning_service.domain.trial import FaultKind
from tuning_service.runner.bundle import BundleLimits
from tuning_service.runner.run import run_ticket


def test_short_training_takes_two_requests_and_the_program_once(run, room):
    outcome = run("print('loss=0.5')")
    assert outcome.status is TaskStatus.SUCCEEDED
    assert outcome.fault is FaultKind.NONE
    assert outcome.exit_code == 0
    assert room.measurements == [("loss", 0, 0.5)]
    assert room.log == "loss=0.5\n"
    assert room.requests == [
        ("POST", "/v1/tasks/task_1/claim"),
        ("GET", "/v1/tasks/task_1/program"),
        ("POST", "/v1/tasks/task_1/report"),
    ]
    run_ticket(room.ticket(), 0, ())
    assert [path for _, path in room.requests[3:]] == ["/v1/tasks/task_1/claim", "/v1/tasks/task_1/report"]


def test_claim_says_who_runs_it(run, room):
    run("print('loss=0.5')", attempt=3, gpus=("2", "0"))
    [claim] = room.claims
    assert claim["attempt"] == 3
    assert claim["gpus"] == ["2", "0"]
    assert claim["host"]
    assert claim["nonce"]


def test_takeover_reports_under_the_plans_task_and_token(run, room):
    outcome = run("print('loss=0.5')", task_id="task_2", token="tok_2")
    assert outcome.status is TaskStatus.SUCCEEDED
    assert {path for _, path in room.requests[1:]} == {"/v1/tasks/task_2/program", "/v1/tasks/task_2/report"}


def test_nothing_is_started_when_the_claim_is_gone(room, prepare, work):
    prepare("print('loss=0.5')")
    room.trouble = lambda *_: (410, b"{}")
    run_ticket(room.ticket(), 0, ())
    assert len(room.requests) == 1
    assert not work.exists()


def test_environment_of_the_training(run, room, monkeypatch):
    monkeypatch.setenv("SPARK_SECRET", "hidden")
    monkeypatch.setenv("TUNING_DATABASE_URL", "hidden")
    monkeypatch.setenv("SPARK_HOME", "/opt/spark")
    monkeypatch.setenv("PYTHONPATH", "/opt/spark/python:/x/py4j-0.10.9-src.zip:/home/me/lib")
    monkeypatch.setenv("KEPT", "yes")
    code = (
        "import json, os, sys; print(json.dumps(dict(os.environ))); print('loss=1'); print(sys.executable);"
        "print(os.getcwd()); print(os.path.exists('params.json'), open('sub/x').read())"
    )
    run(code, gpus=("1", "3"), environment={"OMP_NUM_THREADS": "2"}, files={"params.json": "{}", "sub/x": "hello"})
    lines = room.log.splitlines()
    environment = json.loads(lines[0])
    assert environment["CUDA_VISIBLE_DEVICES"] == "1,3"
    assert environment["OMP_NUM_THREADS"] == "2"
    assert environment["PYTHONUNBUFFERED"] == "1"
    kept, _, helper = environment["PYTHONPATH"].partition(os.pathsep)
    assert kept == "/home/me/lib"
    assert helper.endswith(".zip")
    assert "probe" in helper
    assert environment["KEPT"] == "yes"
    assert "task-" in environment.get("TMPDIR", "task-")
    assert "hidden" not in environment.values()
    assert lines[2] == sys.executable
    assert lines[3].endswith("/program")
    assert lines[4] == "True hello"


def test_without_gpu_none_is_visible(run, room):
    run(
        "import os; print('loss=1', repr(os.environ['CUDA_VISIBLE_DEVICES']))",
        environment={"CUDA_VISIBLE_DEVICES": "7"},
    )
    assert room.log == "loss=1 ''\n"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise ValueError('bad lr')", "exit code 1: ValueError: bad lr"),
        ("import sys; print('loss=1'); sys.exit(3)", "exit code 3"),
        ("import os; os.kill(os.getpid(), 11)", "killed by SIGSEGV"),
        ("import os; os.kill(os.getpid(), 9)", "killed by SIGKILL; the memory may have run out"),
        ("print('loss=nan'); print('loss=inf')", "loss was never a finite number"),
        ("print('Loss is 0.3')", "the program ended without printing loss"),
        ("", "the program ended without printing loss"),
    ],
)
def test_failures_of_the_program_are_outcomes(run, code, reason):
    outcome = run(code)
    assert outcome.status is TaskStatus.FAILED
    assert outcome.fault is FaultKind.PROGRAM
    assert outcome.reason == reason


@pytest.mark.parametrize(
    ("end", "values", "missing"),
    [
        ("sys.exit(3)", [0.5, 0.25], False),
        ("os.kill(os.getpid(), 9)", [0.5], False),
        ("os.kill(os.getpid(), 9)", [], True),
    ],
)
def test_a_last_line_without_an_end_counts_unless_the_training_was_killed(run, room, end, values, missing):
    before = "" if missing else "print('step=1 loss=0.5'); "
    outcome = run(f"import os, sys; {before}print('step=2 loss=0.25', end='', flush=True); {end}")
    assert [value for *_, value in room.measurements] == values
    told = "Lines that come near:\n  step=2 loss=0.25\nThe last line was not read: it has no end"
    assert (told in outcome.explanation) == missing
    assert outcome.log_tail.endswith("step=2 loss=0.25")


def test_objective_that_is_not_printed_is_explained(run, room):
    outcome = run("print('starting'); print('train_loss=3'); print('the loss is about 3')")
    assert "train_loss=3" in outcome.explanation
    assert "the loss is about 3" in outcome.explanation
    assert outcome.log_tail.splitlines()[0] == "starting"
    outcome = run("raise RuntimeError('boom')")
    assert "RuntimeError: boom" in outcome.explanation


@pytest.mark.parametrize(
    ("code", "reason", "explained"),
    [
        ("print('loss=1')", "the program ended without printing acc and latency_ms", ["acc", "latency_ms"]),
        ("print('loss=1 acc=1')", "the program ended without printing latency_ms", ["latency_ms"]),
        ("print('loss=1 acc=nan latency_ms=2')", "acc was never a finite number", []),
        ("print('loss=inf acc=nan latency_ms=2')", "loss and acc were never a finite number", []),
    ],
)
def test_each_required_metric_that_is_missing_is_named_and_explained(run, code, reason, explained):
    names = ("loss", "acc", "latency_ms")
    outcome = run(code, required=names, parser={"formats": ["pairs"], "patterns": [], "metrics": [*names, "extra"]})
    assert outcome.status is TaskStatus.FAILED
    assert outcome.reason == reason
    assert outcome.explanation.count("No line of the output gave a value of") == len(explained)
    assert all(f"gave a value of {name}." in outcome.explanation for name in explained)


@pytest.mark.parametrize(("name", "shown"), [(b"a\xff.log", r"'a\udcff.log'"), (b"a\nb.log", r"'a\nb.log'")])
def test_files_whose_names_are_no_text_are_explained_like_others(run, name, shown):
    outcome = run(
        f"open({name!r}, 'w').write('hello')",
        parser={"formats": ["pairs"], "patterns": [], "metrics": ["loss"],
                "sources": [{"kind": "text", "path": "*.log"}, {"kind": "output"}]},
    )  # fmt: skip
    assert outcome.reason == "the program ended without printing loss"
    assert shown in outcome.explanation


def test_a_stored_metric_may_be_missing(run):
    parser = {"formats": ["pairs"], "patterns": [], "metrics": ["loss", "extra"]}
    assert run("print('loss=1')", parser=parser).status is TaskStatus.SUCCEEDED


@pytest.mark.parametrize(
    ("argv", "reason"),
    [(("./absent",), "no such program"), (("absent-program",), "no such program"), (("./train.py",), "not executable")],
)
def test_program_that_cannot_be_started(run, argv, reason):
    outcome = run("print('loss=1')", argv=argv)
    assert outcome.status is TaskStatus.FAILED
    assert outcome.fault is FaultKind.PROGRAM
    assert reason in outcome.reason
    assert argv[0] in outcome.reason


def test_an_outcome_that_is_no_text_is_told_as_far_as_it_is(run):
    outcome = run("print('loss=1')", argv=("./a\udcffb",))
    assert (outcome.status, outcome.reason[:24]) == (TaskStatus.FAILED, "could not start ./a?b: t")


def test_program_that_is_no_archive(room, prepare):
    prepare("")
    room.program = b"no archive"
    room.plan = replace(room.plan, program=hashlib.sha256(b"no archive").hexdigest())
    run_ticket(room.ticket(), 0, ())
    assert room.outcome.status is TaskStatus.FAILED
    assert "archive" in room.outcome.reason


def test_executor_without_room_is_the_clusters_fault(room, prepare, tmp_path, monkeypatch):
    prepare("print('loss=1')")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TUNING_WORK_DIR", str(tmp_path / "file" / "below"))
    run_ticket(room.ticket(), 0, ())
    assert room.outcome.status is TaskStatus.LOST
    assert room.outcome.fault is FaultKind.CLUSTER


def test_hanging_program_times_out(run):
    begun = time.monotonic()
    outcome = run("import time; print('loss=1'); time.sleep(60)", time_limit_s=0.5)
    assert outcome.status is TaskStatus.FAILED
    assert outcome.reason == "timed out after 0.5 s"
    assert time.monotonic() - begun < 10


def test_progress_is_reported_while_it_trains(run, room):
    outcome = run(
        "import time\nfor i in range(40):\n  print(f'step={i} loss={1 / (i + 1)}'); time.sleep(0.04)", heartbeat_s=0.5
    )
    assert outcome.status is TaskStatus.SUCCEEDED
    assert [m[1] for m in room.measurements] == list(range(40))
    assert 3 <= len([report for report in room.reports if report.measurements]) < 20, "several in one report"
    assert room.reports[0].measurements


def test_silent_training_sends_heartbeats(run, room):
    run("import time; time.sleep(1.2); print('loss=1')", heartbeat_s=0.2)
    assert len([r for r in room.reports if not r.measurements]) >= 3


def test_a_stop_ends_a_training_that_ignores_sigterm(room, prepare, work):
    prepare(
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "for i in range(1000): print(f'loss={i}'); time.sleep(0.05)"
    )
    first = []

    def trouble(method, path, body):
        if "report" in path and room.measurements:  # once it has begun to train
            first.append(time.monotonic())
            room.decision = Decision.STOP

    room.trouble = trouble
    run_ticket(room.ticket(), 0, ())
    assert time.monotonic() - first[0] < 2
    assert room.outcome.status is TaskStatus.STOPPED
    assert room.outcome.fault is FaultKind.NONE
    assert room.measurements
    assert not list(work.glob("task-*"))


def test_execution_that_was_given_up_ends_quietly(room, prepare, work):
    prepare("import time\nwhile True: print('loss=1'); time.sleep(0.05)")
    room.trouble = lambda method, path, body: (410, b"{}") if "report" in path else None
    begun = time.monotonic()
    run_ticket(room.ticket(), 0, ())
    assert time.monotonic() - begun < 10
    assert room.reports == []
    assert not list(work.glob("task-*"))


def test_service_that_is_away_for_a_while_loses_nothing(room, prepare):
    prepare("import time\nfor i in range(15): print(f'step={i} loss={i}'); time.sleep(0.1)")
    count = [0]

    def trouble(method, path, body):
        count[0] += 1
        # Claim twice in vain, then answers that are lost, errors, and dropped connections, in turn.
        return {1: (None, b""), 2: (503, b"")}.get(count[0], (None, b"") if count[0] % 3 == 0 else None)

    room.trouble = trouble
    run_ticket(room.ticket(), 0, ())
    assert room.outcome.status is TaskStatus.SUCCEEDED
    assert room.measurements == [("loss", i, float(i)) for i in range(15)]
    assert len(room.log.splitlines()) == 15


def test_reports_are_spooled_while_the_service_is_down_and_delivered_in_order(room, prepare, work, monkeypatch):
    monkeypatch.setenv("TUNING_DELIVERY_S", "60")
    prepare(
        "for i in range(30000): print(f'step={i} loss={-i}')",
        log_limit_bytes=2_000_000,
    )
    spooled = []

    def trouble(method, path, body):
        if "report" in path and len(spooled) < 2:  # down until some of it lies there
            spooled.extend(work.glob("task-*/spool"))
            return 500, b"{}"
        return None

    room.trouble = trouble
    run_ticket(room.ticket(), 0, ())
    assert spooled
    assert room.measurements == [("loss", i, float(-i)) for i in range(30000)]
    assert len(room.log.splitlines()) == 30000


def test_service_that_stays_away_is_given_up(room, prepare, monkeypatch, work):
    monkeypatch.setenv("TUNING_DELIVERY_S", "0.5")
    prepare("print('loss=1')")
    room.trouble = lambda method, path, body: (500, b"") if "report" in path else None
    run_ticket(room.ticket(), 0, ())
    assert room.reports == []
    assert not list(work.glob("task-*"))
    room.trouble = lambda *_: (500, b"")
    run_ticket(room.ticket(), 0, ())


def test_program_is_fetched_again_when_it_arrives_damaged(room, prepare):
    prepare("print('loss=1')")
    bad = [True]
    room.trouble = lambda method, path, body: (200, b"damaged") if "program" in path and bad and bad.pop() else None
    run_ticket(room.ticket(), 0, ())
    assert room.outcome.status is TaskStatus.SUCCEEDED
    assert [path.rsplit("/")[-1] for _, path in room.requests].count("program") == 2


def test_damaged_cache_is_fetched_again(room, prepare, work):
    prepare("print('loss=1')")
    run_ticket(room.ticket(), 0, ())
    [cached] = (work / "programs").iterdir()
    cached.write_bytes(b"something else")
    run_ticket(room.ticket(), 0, ())
    assert room.outcome.status is TaskStatus.SUCCEEDED
    assert [path.rsplit("/")[-1] for _, path in room.requests].count("program") == 2


def test_hundred_megabytes_of_log_cost_little_memory(room, prepare):
    prepare(
        "import sys\nline = 'all is well in the training of this network, and it goes on and on ' * 14 + '\\n'\n"
        "print('loss=1')\nfor _ in range(100): sys.stdout.write(line * 1060)\nprint('the end')",
        log_limit_bytes=100_000,
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run_ticket(room.ticket(), 0, ())
    assert room.outcome.status is TaskStatus.SUCCEEDED
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000
    assert "bytes left out …]" in room.log
    assert len(room.log) < 101_000
    assert room.log.startswith("loss=1\n")
    assert room.log.endswith("the end\n")


def test_endless_line_and_what_follows_it(run, room):
    outcome = run(
        "import sys\nfor _ in range(500): sys.stdout.write('x' * 10000)\nprint()\nprint('loss=0.5')",
        log_limit_bytes=10_000,
    )
    assert outcome.status is TaskStatus.SUCCEEDED
    assert room.measurements == [("loss", 0, 0.5)]
    assert len(outcome.log_tail) <= 16 * 1024


def test_output_that_is_no_text(run, room):
    outcome = run(
        "import sys; sys.stdout.buffer.write(bytes(range(256)) * 50 + b'\\nloss=0.5\\n')", log_limit_bytes=2000
    )
    assert outcome.status is TaskStatus.SUCCEEDED
    assert "\0" not in room.log
    assert room.measurements == [("loss", 0, 0.5)]


def test_training_that_closes_its_output_is_waited_for(run):
    outcome = run("import os, time; print('loss=1'); os.close(1); os.close(2); time.sleep(0.5); os._exit(4)")
    assert outcome.reason == "exit code 4"


def test_connection_is_kept_over_tasks(room, prepare):
    prepare("print('loss=1')")
    ports = set()
    original = room.server.process_request

    def process_request(request, address):
        ports.add(address)
        original(request, address)

    room.server.process_request = process_request
    for _ in range(3):
        run_ticket(room.ticket(), 0, ())
    assert len(ports) == 2  # the program has one of its own, as heartbeats go on beside it


def test_own_overhead_is_small(room, prepare):
    prepare("", argv=("/bin/echo", "loss=1"))
    run_ticket(room.ticket(), 0, ())
    times = []
    for _ in range(20):
        begun = time.perf_counter()
        run_ticket(room.ticket(), 0, ())
        times.append(time.perf_counter() - begun)
    # A few milliseconds; on a busy machine most take longer.
    assert min(times) < 0.1


def test_descriptors_do_not_leak(room, prepare):
    prepare("", argv=("/bin/echo", "loss=1"))
    run_ticket(room.ticket(), 0, ())
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        run_ticket(room.ticket(), 0, ())
    assert (
        len(list(Path("/proc/self/fd").iterdir())) <= before + 1
    )  # the server's side of a connection may still be closing


def test_a_program_may_be_as_large_as_the_service_has_accepted(room, prepare, tmp_path):
    folder = tmp_path / "program"
    folder.mkdir()
    for number in range(BundleLimits().files + 1):
        (folder / f"part{number}").touch()
    prepare("print('loss=1')")
    run_ticket(room.ticket(), 0, ())
    assert room.outcome.status is TaskStatus.SUCCEEDED, room.outcome.reason


def test_a_folder_where_a_file_of_the_trials_goes_is_the_programs_fault(run, tmp_path):
    (tmp_path / "program" / "params.json").mkdir(parents=True)
    (tmp_path / "program" / "params.json" / "x").write_text("")
    outcome = run("print('loss=1')", files={"params.json": "{}"})
    assert (outcome.status, outcome.fault) == (TaskStatus.FAILED, FaultKind.PROGRAM)
    assert "has a folder params.json" in outcome.reason
