"""The prototxt example through a runner, with whatever trains it there: as a trial of the service does it."""

import dataclasses

import pytest
import yaml

from tests.examples.test_digits_caffe import EXAMPLE, MANAGER
from tests.runner.conftest import prepare, room, work
from tests.samples import a_job, a_trial
from tuning_service.domain.state import TaskStatus
from tuning_service.manager.job_file import parse_job_file
from tuning_service.runner.bundle import digest, pack
from tuning_service.runner.run import run_ticket

__all__ = ["prepare", "room", "work"]


@pytest.mark.heavy
def test_a_trial_of_the_example_learns_the_digits(prepare, room):
    file = yaml.safe_load((EXAMPLE / "job.yaml").read_text()) | {"program": "0" * 64}
    spec = parse_job_file(file).to_spec()
    params = spec.space.completed(
        {"BASE_LR": 0.02, "MOMENTUM": 0.9, "WEIGHT_DECAY": 5e-4, "NUM_OUTPUT_1": 20, "NUM_OUTPUT_2": 50}
        | {"KERNEL_1": 5, "KERNEL_2": 3, "POOL_1": "MAX", "LR_MULT_IP_W": 1.0, "DROPOUT": 0.2}
    )
    prepared = MANAGER.prepare(spec, a_trial(a_job(spec=spec), params=params), ())
    prepare("")
    room.program = pack(EXAMPLE)
    room.plan = dataclasses.replace(
        room.plan,
        program=digest(room.program),
        argv=prepared.argv,
        environment=prepared.environment,
        files=prepared.files,
        templates=prepared.templates,
        values=prepared.values,
        parser=MANAGER.log_parser(spec),
        required=spec.required_metrics,
    )
    run_ticket(room.ticket(), 0, ())
    assert room.outcome.status is TaskStatus.SUCCEEDED, (room.outcome, room.log)
    assert "Optimization Done." in room.log
    accuracies = [value for name, _, value in room.measurements if name == "accuracy"]
    assert max(accuracies) >= 0.95
