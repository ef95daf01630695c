"""Scripts written for the older product, and what trainings leave in files, through the real runner."""

import importlib.util
import json
import math
import re
from pathlib import Path

import pytest

from tuning_service.domain.job import AlgorithmChoice, Arguments, Budget, Goal, JobSpec, Objective
from tuning_service.domain.parameters import FloatParameter
from tuning_service.domain.space import Space
from tuning_service.domain.state import Decision, TaskStatus, TrialStatus
from tuning_service.domain.trial import Trial
from tuning_service.frameworks import frameworks
from tuning_service.runner.run import run_ticket

PROGRAMS = Path(__file__).parents[1] / "e2e" / "programs"
EVENTS = Path(__file__).parent / "events"
HELPERS = (Path(__file__).parent / "event_files.py").read_text()
CONTEXT = {"tenant": "ten_1", "job": "job_1", "trial": "3", "task": "task_1"}


def plan_of(metrics=("loss",), log_files=(), arguments=Arguments.NONE, command="python train.py", **params):
    """What a framework manager makes of a job with these parameters, as fields of a launch plan."""
    spec = JobSpec(
        name="job",
        framework="command",
        program="0" * 64,
        command=command,
        space=Space(parameters=(FloatParameter(name="learning_rate", min=0.01, max=1.0),)),
        objectives=tuple(Objective(metric=m, goal=Goal.MINIMIZE) for m in metrics),
        algorithm=AlgorithmChoice(name="random"),
        budget=Budget(trials=1),
        arguments=arguments,
        log_files=tuple(log_files),
    )
    trial = Trial(
        id="t",
        job_id="job_1",
        tenant_id="n",
        number=3,
        params={"learning_rate": 0.5, **params},
        status=TrialStatus.QUEUED,
    )
    manager = frameworks()["command"]
    prepared = manager.prepare(spec, trial, ())
    return {
        "argv": prepared.argv,
        "environment": {"OMP_NUM_THREADS": "1", **prepared.environment},
        "files": dict(prepared.files),
        "merged": prepared.merged,
        "parser": manager.log_parser(spec),
        "required": spec.required_metrics,
        "context": CONTEXT,
    }


def kept(room):
    """The points that the service would have stored: (metric, step): value."""
    stored = {}
    for report in room.reports:
        stored = {key: value for key, value in stored.items() if key[0] not in report.withdrawn}
        stored |= {(m.metric, m.step): m.value for m in report.measurements}
    return stored


def series(room, metric):
    return {step: value for (name, step), value in kept(room).items() if name == metric}


@pytest.fixture
def brings(tmp_path):
    """Puts a file into the program beside train.py."""

    def brings(name, content):
        path = tmp_path / "program" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return brings


# -- scripts of the older product


def test_torch_script_of_the_older_product(run, room, brings):
    brings("config.json", '{"learning_rate": 99, "batch": 32}')
    outcome = run((PROGRAMS / "old_torch.py").read_text(), **plan_of(width=4))
    assert outcome.status is TaskStatus.SUCCEEDED, outcome
    losses = series(room, "loss")
    assert list(losses) == [1, 2, 3]  # the file's; what it prints of batches is withdrawn
    assert losses[3] < losses[1]
    assert list(series(room, "accuracy")) == [1, 2, 3]
    assert "batch 160" in room.log


def test_script_with_evaluation_metrics(run, room):
    outcome = run((PROGRAMS / "old_emetrics.py").read_text(), **plan_of())
    assert outcome.status is TaskStatus.SUCCEEDED
    assert series(room, "loss") == {step: pytest.approx(1 / step) for step in range(1, 5)}
    assert series(room, "train_loss") == {step: pytest.approx(0.5 / step) for step in range(1, 5)}
    assert list(series(room, "accuracy")) == [1, 2, 3, 4]
    assert all(0 <= m.elapsed_s < 60 for report in room.reports for m in report.measurements)


def test_script_with_evaluation_metrics_that_ends_with_a_list(run, room, brings):
    brings("with-subid", "")
    run((PROGRAMS / "old_emetrics.py").read_text(), **plan_of())
    assert series(room, "loss") == {step: pytest.approx(1 / step) for step in range(1, 5)}
    assert list(series(room, "train_loss")) == [1, 2, 3, 4]


@pytest.mark.heavy
@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="tensorflow is not installed")
def test_keras_script_of_the_older_product(run, room):
    outcome = run((PROGRAMS / "old_keras.py").read_text(), **plan_of())
    assert outcome.status is TaskStatus.SUCCEEDED, outcome
    losses = series(room, "loss")
    assert list(losses) == [1, 2, 3]
    printed = [float(text) for text in re.findall(r"val_loss: ([\d.]+)", room.log)]
    assert printed == [pytest.approx(loss, abs=1e-4) for loss in losses.values()]


def test_folders_and_variables(run, room, monkeypatch):
    monkeypatch.delenv("DATA_DIR", raising=False)
    code = (
        "import json, os\n"
        "folders = {n: os.environ[n] for n in ('RESULT_DIR', 'LOG_DIR', 'JOB_STATE_DIR')}\n"
        "assert len(set(folders.values())) == 3\n"
        "for path in folders.values():\n"
        "    assert os.listdir(path) == [] and os.path.dirname(os.getcwd()) == os.path.dirname(path)\n"
        "    open(path + '/x', 'w').close()\n"
        "names = ('TRAINING_ID', 'SUBID', 'DLI_EXECID', 'DATA_DIR', 'DLI_DATA_FS')\n"
        "print(json.dumps({n: os.environ.get(n) for n in names}))\nprint('loss=1')\n"
    )
    plan = plan_of()
    ids = {"TRAINING_ID": "job_1", "SUBID": "3", "DLI_EXECID": "task_1"}

    def seen():
        before = len(room.reports)
        assert run(code, **plan).status is TaskStatus.SUCCEEDED
        printed = "".join(report.log for report in room.reports[before:])  # in as many reports as it takes
        return json.loads(printed.splitlines()[0])

    assert seen() == ids | {"DATA_DIR": None, "DLI_DATA_FS": None}
    monkeypatch.setenv("DATA_DIR", "/own")
    assert seen() == ids | {"DATA_DIR": "/own", "DLI_DATA_FS": "/own"}
    plan["environment"]["DATA_DIR"] = "/deployment"
    assert seen() == ids | {"DATA_DIR": "/deployment", "DLI_DATA_FS": "/deployment"}
    monkeypatch.setenv("TUNING_DATA_DIR", "/executor")
    assert seen() == ids | {"DATA_DIR": "/executor", "DLI_DATA_FS": "/executor"}


@pytest.mark.parametrize(
    ("brought", "found", "told"),
    [
        (None, {"learning_rate": 0.5}, False),
        ("{}", {"learning_rate": 0.5}, False),
        ('\ufeff{"a": {"b": 1}, "learning_rate": "x"}', {"a": {"b": 1}, "learning_rate": 0.5}, False),
        ("[1]", "[1]", True),
        ("a: yaml", "a: yaml", True),
        ("", "", True),
        (b"\xff\xfe", None, True),
    ],
)
def test_parameters_are_merged_into_config_json(run, room, brings, brought, found, told):
    if brought is not None:
        brings("config.json", brought)
    run("print(repr(open('config.json', 'rb').read())); print('loss=1')", **plan_of())
    *notes, shown, _ = room.log.splitlines()
    data = eval(shown)
    if isinstance(found, dict):
        assert json.loads(data) == found
    else:
        assert data == (brought if isinstance(brought, bytes) else brought.encode())
    assert len(notes) == told
    assert all(note.startswith("tuning-service: config.json of the program is no JSON object") for note in notes)


def test_a_link_named_config_json_is_replaced_by_a_file(run, room, tmp_path, brings):
    brings("conf/real.json", '{"a": 1}')
    (tmp_path / "program" / "config.json").symlink_to("conf/real.json")
    run("print(open('config.json').read().split(), open('conf/real.json').read()); print('loss=1')", **plan_of())
    assert "'\"learning_rate\":', '0.5'" in room.log
    assert '{"a": 1}' in room.log


# -- files beside the output


def test_tensorboard_files_of_keras_are_enough(run, room, brings):
    for split in ("train", "validation"):
        brings(f"made/{split}/x", (EVENTS / "keras" / split / "events.out.tfevents.1").read_bytes())
    code = (
        "import os, shutil\n"
        "for split in ('train', 'validation'):\n"
        "    os.makedirs(f'logs/{split}'); shutil.copy(f'made/{split}/x', f'logs/{split}/events.out.tfevents.7')\n"
    )
    outcome = run(code, **plan_of(metrics=("val_loss",)))
    assert outcome.status is TaskStatus.SUCCEEDED
    assert list(series(room, "val_loss")) == [0, 1, 2]
    assert list(series(room, "loss")) == [0, 1, 2]
    assert series(room, "val_loss")[2] == 0.9546987


def test_what_is_printed_goes_before_tensorboard_unless_the_job_names_the_files(run, room, brings):
    brings("event_files.py", HELPERS.replace("from tuning_service.runner.tensorboard import crc32c", CRC))
    code = (
        "import event_files\nprint('epoch 1 loss=0.5')\n"
        "written = event_files.event(0, loss=0.125) + event_files.event(1, loss=0.25)\n"
        "open('events.out.tfevents.1', 'wb').write(written)\n"
    )
    run(code, **plan_of())
    assert kept(room) == {("loss", 1): 0.5}
    room.reports.clear()
    run(code, **plan_of(log_files=["*.tfevents.*"]))
    assert kept(room) == {("loss", 0): 0.125, ("loss", 1): 0.25}


CRC = """
def crc32c(data):
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF
"""


def test_values_of_a_file_are_reported_while_it_grows(room, prepare):
    code = (
        "import os, time\n"
        "with open('train.log', 'w') as f:\n"
        "    for i in range(1000):\n"
        "        f.write(f'step {i} loss={i}\\n'); f.flush(); time.sleep(0.02)\n"
    )
    prepare(code, **plan_of(log_files=["*.log"]))

    def enough(method, path, body):
        if len(series(room, "loss")) > 20:
            room.decision = Decision.STOP

    room.trouble = enough
    run_ticket(room.ticket(), 0, ())
    assert room.outcome.status is TaskStatus.STOPPED
    values = series(room, "loss")
    assert len(values) > 20
    assert all(value == step for step, value in values.items())


def test_printed_values_are_withdrawn_when_the_result_file_comes(run, room):
    code = (
        "import json, os, time\n"
        "for i in range(5): print(f'step {i} loss=0.001 acc={i}'); time.sleep(0.15)\n"
        "json.dump([{'step': 1, 'loss': 0.5}], open(os.environ['RESULT_DIR'] + '/val_dict_list.json', 'w'))\n"
    )
    run(code, **plan_of())
    assert ("loss", 0, 0.001) in room.measurements  # it had been reported
    assert series(room, "loss") == {1: 0.5}
    assert series(room, "acc") == {i: i for i in range(5)}


def test_a_missing_metric_is_explained_with_the_files(run):
    outcome = run("open('train.log', 'w').write('val loss is 3\\n')", **plan_of(("val_loss",), ["*.log", "x/**"]))
    assert outcome.status is TaskStatus.FAILED
    assert "*.log, x/**" in outcome.explanation
    assert "train.log: gave no metric" in outcome.explanation
    assert "val loss is 3" in outcome.explanation


# -- nothing is lost when it is killed

KILLED = {
    "printed": ("print(f'step {i} loss={i / 10}', flush=True)", "os.write(1, b'step 99 los')"),
    "text": ("f.write(f'step {i} loss={i / 10}\\n')", "f.write('step 99 loss=9')"),
    "events": ("f.buffer.write(event(i, loss=i / 10))", "f.buffer.write(event(99, loss=9.0)[:-3])"),
    "evaluation": (
        "f.write(json.dumps({'etimes': {'iteration': {'value': str(i)}}, 'values': {'loss': str(i / 10)}}) + '\\n')",
        "f.write(json.dumps({'etimes': {'iteration': {'value': '99'}}, 'values': {'loss': '9'}})[:-4])",
    ),
    "array": (
        "f.write('[' * (not i) + json.dumps({'step': i, 'loss': i / 10}) + ', ')",
        'f.write(\'{"step": 99, "loss": 9\')',
    ),
}
NAMES = {
    "printed": "x",
    "text": "train.log",
    "events": "a/events.out.tfevents.1",
    "evaluation": "evaluation-metrics.txt",
    "array": "val_dict_list.json",
}


@pytest.mark.parametrize("kind", KILLED)
def test_what_was_written_before_a_kill_counts_and_what_was_cut_off_does_not(run, room, brings, kind):
    brings("event_files.py", HELPERS.replace("from tuning_service.runner.tensorboard import crc32c", CRC))
    write, cut = KILLED[kind]
    code = (
        "import json, os, signal\nfrom event_files import event\nos.makedirs('a')\n"
        f"f = open({NAMES[kind]!r}, 'w')\n"
        f"for i in range(300):\n    {write}\n"
        f"{cut}\nf.flush()\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    outcome = run(code, **plan_of(log_files=["*.log"]))
    assert outcome.status is TaskStatus.FAILED
    assert outcome.reason.startswith("killed by SIGKILL")
    assert series(room, "loss") == {i: pytest.approx(i / 10) for i in range(300)}


def test_a_list_that_is_killed_while_it_is_written_anew_keeps_what_was_read(run, room):
    code = (
        "import json, os, signal, time\npath = 'val_dict_list.json'\n"
        "def write(text):\n    with open(path, 'w') as f: f.write(text)\n"
        "whole = json.dumps([{'step': i, 'loss': i / 10} for i in range(50)])\n"
        "write(whole)\ntime.sleep(1.5)\nwrite(whole[:100])\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    run(code, **plan_of())
    assert series(room, "loss") == {i: i / 10 for i in range(50)}


def test_a_crash_with_a_traceback_keeps_the_unfinished_line(run, room):
    code = "f = open('train.log', 'w')\nf.write('step 1 loss=0.5\\nstep 2 loss=0.25')\nraise ValueError('no')\n"
    outcome = run(code, **plan_of(log_files=["*.log"]))
    assert outcome.reason == "exit code 1: ValueError: no"
    assert series(room, "loss") == {1: 0.5, 2: 0.25}


def test_nan_in_files_is_kept_and_fails_the_trial(run, room):
    outcome = run("open('val_dict_list.json', 'w').write('[{\"loss\": NaN}, {\"loss\": \"inf\"}]')", **plan_of())
    assert outcome.reason == "loss was never a finite number"
    assert math.isnan(series(room, "loss")[0])
    assert series(room, "loss")[1] == math.inf
