"""Logs of real frameworks are read as checked by hand. Beside each NAME.log stands what it says, NAME.readings."""

import importlib.util
import os
import subprocess
import sys

import pytest

from tests.logs.corpus.make import readings, without_places
from tests.logs.corpus.samples import HERE, SAMPLES


@pytest.mark.parametrize("name", SAMPLES)
def test_sample_is_read_as_written_beside_it(name):
    expected = (HERE / f"{name}.readings").read_text().splitlines()
    assert readings(name, SAMPLES[name].framework) == expected


def test_samples_and_their_expectations_are_complete():
    assert {path.stem for path in HERE.glob("*.log")} == set(SAMPLES)
    assert {path.stem for path in HERE.glob("*.readings")} == set(SAMPLES)
    for name, sample in SAMPLES.items():
        assert bool(sample.command) != bool(sample.source), name
        data = (HERE / f"{name}.log").read_bytes()
        assert without_places(data) == data, name
        assert len(data) < 20_000


@pytest.mark.parametrize("name", [name for name, sample in SAMPLES.items() if sample.framework != "caffe"])
def test_a_job_for_any_program_reads_no_less(name):
    def metrics(framework):
        return {line.split()[1] for line in readings(name, framework)}

    assert metrics(SAMPLES[name].framework) <= metrics("command")


@pytest.mark.heavy
@pytest.mark.parametrize("name", [name for name, sample in SAMPLES.items() if sample.command])
def test_program_of_a_sample_still_prints_what_is_read(name, tmp_path):
    sample = SAMPLES[name]
    if any(importlib.util.find_spec(module) is None for module in sample.needs):
        pytest.skip(f"needs {', '.join(sample.needs)}")
    environment = os.environ | {"PYTHONPATH": str(HERE.parents[2])}
    code = (
        "import sys; from pathlib import Path; from tests.logs.corpus import make;"
        "make.HERE = Path(sys.argv[2]); data = make.without_places(make.run(make.SAMPLES[sys.argv[1]]));"
        "(make.HERE / (sys.argv[1] + '.log')).write_bytes(data);"
        "print('\\n' + '\\n'.join(make.readings(sys.argv[1], make.SAMPLES[sys.argv[1]].framework)))"
    )
    (tmp_path / "programs").symlink_to(HERE / "programs")
    done = subprocess.run(
        [sys.executable, "-c", code, name, str(tmp_path)],
        capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL, timeout=150, check=True,
    )  # fmt: skip
    printed = {tuple(line.split()[:2]) for line in done.stdout.splitlines() if len(line.split()) == 4}
    expected = {tuple(line.split()[:2]) for line in (HERE / f"{name}.readings").read_text().splitlines()}
    forms = {"keras", "bars", "pytorch", "lightning", "dicts"}
    read = [line.split() for line in (HERE / f"{name}.readings").read_text().splitlines()]
    assert {(step, metric) for step, metric, _, form in read if form in forms} <= printed & expected
