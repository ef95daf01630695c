"""The TensorFlow example, an ordinary model.fit script, through the real runner."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.samples import a_job, a_trial
from tuning_service.domain.state import TaskStatus
from tuning_service.domain.trial import FaultKind
from tuning_service.frameworks import frameworks
from tuning_service.manager.job_file import parse_job_file

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits_tensorflow"
PARAMS = {"lr": 0.01, "optimizer": "adam", "batch_size": 64, "width": 8, "dropout": 0.1}


@pytest.fixture
def train(run):
    def train(code, *, command="python train.py", **plan):
        file = yaml.safe_load((EXAMPLE / "job.yaml").read_text())
        spec = parse_job_file(file | {"program": "0" * 64, "command": command}).to_spec()
        manager = frameworks()[spec.framework]
        prepared = manager.prepare(spec, a_trial(a_job(spec=spec), params=PARAMS), ())
        return run(
            code,
            argv=prepared.argv,
            environment=prepared.environment,
            files=prepared.files,
            modules=prepared.modules,
            imports=prepared.imports,
            parser=manager.log_parser(spec),
            required=spec.required_metrics,
            **plan,
        )

    return train


def values(room, metric):
    return [value for name, _, value in room.measurements if name == metric]


def test_an_unchanged_script_with_model_fit_is_measured(train, room):
    pytest.importorskip("tensorflow")
    code = (EXAMPLE / "train.py").read_text()
    assert "tuning_service" not in code
    outcome = train(code, command="python train.py --epochs 3")
    assert (outcome.status, outcome.reason) == (TaskStatus.SUCCEEDED, ""), room.log
    points = [(step, value) for metric, step, value in room.measurements if metric == "val_accuracy"]
    assert [step for step, _ in points] == [1, 2, 3]
    assert points[-1][1] > 0.8
    assert len(values(room, "val_loss")) == 3
    assert "rebuild TensorFlow" not in room.log  # the longest of its notes on how it was built


CALLBACK = """
import keras, numpy as np
from tuning_service import probe
assert probe.params()["lr"] == 0.01
keras.utils.set_random_seed(1)
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
model.compile(optimizer=keras.optimizers.SGD(probe.params()["lr"]), loss="mse")
x = np.random.default_rng(0).normal(size=(64, 4))
history = model.fit(x, x.sum(1), epochs=3, validation_split=0.25, callbacks=[probe.keras_callback()])
print("exactly", *(repr(value) for value in history.history["val_loss"]))
probe.report(val_accuracy=1)
"""


@pytest.mark.heavy
def test_the_callback_gives_exact_values_beside_the_rounded_ones_of_the_progress_bar(train, room):
    pytest.importorskip("tensorflow")
    outcome = train(CALLBACK)
    assert (outcome.status, outcome.reason) == (TaskStatus.SUCCEEDED, ""), room.log
    stored = {step: value for metric, step, value in room.measurements if metric == "val_loss"}
    (line,) = (line for line in room.log.splitlines() if line.startswith("exactly "))
    assert stored == dict(enumerate(map(float, line.split()[1:]), start=1))


def test_an_executor_without_tensorflow_is_said_before_the_start(train, room, tmp_path):
    home = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    plan = {"interpreter": {"name": "bare", "python": str(home / "bin" / "python")}}
    outcome = train("print('val_accuracy=1')", **plan)
    assert (outcome.status, outcome.fault) == (TaskStatus.LOST, FaultKind.ENVIRONMENT)
    assert f"{home}/bin/python on {os.uname().nodename} has no tensorflow" in outcome.reason
    assert room.log == ""
    # Of what another program starts nothing is known before it runs.
    outcome = train("import keras", command="env python train.py", **plan)
    assert (outcome.status, outcome.fault) == (TaskStatus.LOST, FaultKind.ENVIRONMENT)
    assert "has no keras" in outcome.reason
