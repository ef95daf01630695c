"""The prototxt example, as its job file has it."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest
import yaml

from tuning_service.frameworks import frameworks
from tuning_service.frameworks.base import ProgramFiles
from tuning_service.logs import build_parser
from tuning_service.manager.job_file import parse_job_file
from tuning_service.runner import bundle

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "digits_caffe"
TEXTS = {path.name: path.read_text() for path in EXAMPLE.glob("*.prototxt")}
PROGRAM = ProgramFiles(names=frozenset({*TEXTS, "train.npz", "test.npz"}), texts=TEXTS)
MANAGER = frameworks()["caffe"]


@pytest.fixture
def spec():
    return parse_job_file(yaml.safe_load((EXAMPLE / "job.yaml").read_text()) | {"program": "0" * 64}).to_spec()


def test_the_job_is_accepted_with_the_frameworks_own_command(spec):
    assert spec.command == "caffe train --solver=solver.prototxt"
    MANAGER.check(spec, PROGRAM)


def test_kernels_that_do_not_fit_are_known_before_a_training(spec):
    def problem(**params):
        return MANAGER.infeasible(spec, PROGRAM, spec.space.completed(params))

    assert problem(KERNEL_1=5, KERNEL_2=4) == ""
    assert problem(KERNEL_1=9, KERNEL_2=2) == ""
    assert problem(KERNEL_1=9, KERNEL_2=3).endswith("layer conv2: kernel of 3 is larger than its input of 2")


def test_what_the_job_asks_for_is_what_its_log_says(spec):
    parser = build_parser(MANAGER.log_parser(spec))
    lines = (
        "I1121 08:51:49.690216  4183 solver.cpp:330] Iteration 100, Testing net (#0)",
        "I1121 08:51:49.690217  4183 solver.cpp:397]     Test net output #0: accuracy = 0.975",
    )
    readings = [reading for line in lines for reading in parser.feed(line)]
    assert [(one.metric, one.step, one.value) for one in readings] == [(spec.objective.metric, 100, 0.975)]


def test_the_data_comes_with_the_program_and_is_what_the_net_expects(tmp_path):
    named = re.findall(r'source: "(.*?)"', TEXTS["net.prototxt"])
    assert set(named) <= set(bundle.list_files(bundle.pack(EXAMPLE)))
    script = tmp_path / "make_data.py"
    script.write_text((EXAMPLE / "make_data.py").read_text())
    runpy.run_path(str(script))
    for name, count in (("train", 1437), ("test", 360)):
        with np.load(tmp_path / f"{name}.npz") as made, np.load(EXAMPLE / f"{name}.npz") as data:
            assert (data["data"] == made["data"]).all()
            assert (data["label"] == made["label"]).all()
            assert data["data"].shape == (count, 1, 8, 8)
            assert data["data"].dtype == np.uint8
            assert set(data["label"]) == set(range(10))
