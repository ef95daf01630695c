"""A program's environment, from the job file to the launch plan and back to the job's reason."""

from typing import Any

import pytest

from tests.rest_service import ENVIRONMENTS, Driver, Service, submit
from tuning_service.client.job_files import load_job_file
from tuning_service.domain.state import JobStatus

FILES = {"train.py": b"print('val_accuracy=0.5')", "conf/requirements.txt": b"numpy", "requirements.txt": b"numpy"}


def submitted(service: Service, environment: dict[str, Any] | None) -> dict[str, Any]:
    with service.http() as http:
        answer = submit(http, FILES, **{} if environment is None else {"environment": environment})
        assert answer.status_code == 201, answer.text
        job: dict[str, Any] = answer.json()
        return job


def interpreter_of(service: Service, job: dict[str, Any]) -> dict[str, str]:
    """As the launch plan of a trial has it."""
    driver = Driver(service, job["id"])
    driver.set_status(JobStatus.RUNNING)
    plan: dict[str, Any] = driver.add_trial(0).claim().json()
    return plan["interpreter"]


@pytest.mark.parametrize(
    ("written", "stored", "plan"),
    [
        (None, {}, {}),
        ({}, {}, {}),
        ({"name": "lts"}, {"name": "lts"}, {"name": "lts", "python": ENVIRONMENTS["lts"]}),
        (
            {"requirements": "./conf/requirements.txt"},
            {"requirements": "conf/requirements.txt"},
            {"requirements": "conf/requirements.txt"},
        ),
        ({"archive": "https://files/env.tgz?v=1"}, *[{"archive": "https://files/env.tgz?v=1"}] * 2),
    ],
)
def test_the_environment_of_a_job_file_reaches_the_runner(service: Service, tmp_path, written, stored, plan) -> None:
    job = submitted(service, written)
    assert job["spec"]["environment"] == stored
    # What is shown as a job file makes the same job again.
    path = tmp_path / "job.yaml"
    with service.client() as client:
        path.write_text(client.job_file(job["id"]))
    assert load_job_file(path).get("environment", {}) == stored
    assert interpreter_of(service, job) == plan


def test_an_environment_that_the_deployment_has_dropped_is_left_for_the_runner_to_say(service: Service) -> None:
    job = submitted(service, {"name": "lts"})
    service.desk._environments.clear()
    assert interpreter_of(service, job) == {"name": "lts", "python": ""}
