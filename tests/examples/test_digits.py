"""The example is an ordinary program, and its job file says what the program understands."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tuning_service.domain.space import Space

FOLDER = Path(__file__).parents[2] / "examples" / "digits_pytorch"
LINE = re.compile(
    r"epoch (?P<epoch>\d+): train_loss=(?P<train_loss>\d+\.\d{4}) "
    r"val_loss=(?P<val_loss>\d+\.\d{4}) val_accuracy=(?P<val_accuracy>[01]\.\d{4})"
)


def train(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "train.py", *arguments],
        cwd=FOLDER,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def job() -> dict[str, Any]:
    return yaml.safe_load((FOLDER / "job.yaml").read_text(encoding="utf-8"))


def test_training_prints_one_line_an_epoch_and_learns(tmp_path):
    done = train(
        "--optimizer",
        "adam",
        "--lr",
        "0.01",
        "--batch_size",
        "32",
        "--epochs",
        "2",
        "--seed",
        "1",
        TUNING_ARTIFACTS_DIR=str(tmp_path),
    )

    assert done.returncode == 0, done.stderr
    lines = [LINE.fullmatch(line) for line in done.stdout.splitlines()]
    assert all(lines), done.stdout
    assert [line["epoch"] for line in lines] == ["1", "2"]
    assert float(lines[1]["train_loss"]) < float(lines[0]["train_loss"])
    assert float(lines[1]["val_accuracy"]) > 0.8
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]


def test_job_file_asks_for_what_the_readme_promises(job):
    space = job.pop("space")

    assert job == {
        "name": "digits-pytorch",
        "framework": "pytorch",
        "program": ".",
        "command": "python train.py",
        "objective": {"metric": "val_accuracy", "goal": "maximize"},
        "algorithm": {"name": "auto", "options": {}},
        "budget": {"trials": 24, "parallel": 2, "minutes": 30},
        "resources": {"cpus": 1, "gpus": 0},
        "seed": 7,
    }
    assert space["lr"]["scale"] == space["weight_decay"]["scale"] == "log"
    assert space["batch_size"] == {"type": "int", "min": 16, "max": 256, "scale": "pow2"}


def test_space_is_valid_and_momentum_belongs_to_sgd(job):
    space = Space.from_dict(job["space"])
    adam = {"lr": 0.01, "optimizer": "adam", "weight_decay": 1e-4, "batch_size": 32, "width": 16, "dropout": 0.1}

    space.check(adam)
    space.check(adam | {"optimizer": "sgd", "momentum": 0.9})
    assert space.active_part(adam | {"momentum": 0.9}) == adam


def test_program_takes_every_parameter_of_the_space(job):
    usage = train("--help").stdout

    assert [name for name in job["space"] if f"--{name} " not in usage] == []
    for value in job["space"]["optimizer"]["values"]:
        assert value in usage


def test_unknown_parameter_is_refused_by_the_program():
    done = train("--learning_rate", "0.1")

    assert done.returncode != 0
    assert "--learning_rate" in done.stderr
