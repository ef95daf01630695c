"""The suite's checks notice each kind of loss."""

import dataclasses
import json

import psycopg
import pytest

from tests.faults.checks import Asked, check_ended, check_jobs, check_now, check_unheard, check_usage
from tests.faults.world import PRICE, World
from tests.samples import a_task, a_tenant, a_trial, stored_job
from tuning_service.domain.state import JobStatus, JobTarget, TaskStatus, TrialStatus
from tuning_service.domain.trial import FaultKind, Measurement, Outcome

STEPS = 3
LOST = Outcome(status=TaskStatus.LOST, fault=FaultKind.CLUSTER, reason="gone")


class Stored:
    """The database and the records of a deployment that is not there."""

    rows, _connected, _hang_up = World.rows, World._connected, World._hang_up

    def __init__(self, url, records):
        self.database_url, self.records, self._connection = url, records, None

    def change(self, statement):
        with psycopg.connect(self.database_url.replace("+psycopg", "")) as connection:
            assert connection.execute(statement).rowcount


@pytest.fixture
def job(postgres_store, tmp_path):
    """A stored job of two trials that ended well, the second after a lost execution; with the trainings' records."""
    store, alice = postgres_store, a_tenant(postgres_store, "a")
    job = stored_job(store, alice, status=JobStatus.RUNNING)
    with store.write() as unit:
        for number in range(2):
            trial = a_trial(job, number)
            unit.control.add_trials([trial])
            for place in range(number + 1):
                task = a_task(trial, place, gpu_share=1.0, price=PRICE)
                unit.control.add_tasks([task])
                unit.runner.claim(dataclasses.replace(task, attempt=0), "n", 10.0)
                points = tuple(Measurement(step=s, metric="loss", value=1.0 + s, elapsed_s=1.0) for s in range(STEPS))
                last = place == number
                unit.runner.report(unit.runner.task(task.id), points[: None if last else 1], 0, 20.0)
                outcome = Outcome(status=TaskStatus.SUCCEEDED) if last else LOST
                unit.runner.end(unit.runner.task(task.id), outcome, 30.0)
                unit.control.settle(task)
                notes = [{"step": p.step, "loss": p.value} for p in (points if last else points[:1])]
                lines = map(json.dumps, [*notes, *([{"ended": True}] if last else [])])
                (tmp_path / f"{job.id}.{number}.{task.id}.jsonl").write_text("\n".join(lines))
            done = dataclasses.replace(trial, status=TrialStatus.COMPLETED, value=1.0)
            unit.control.set_trial(done, 30.0, settled=number)
        ended = dataclasses.replace(job, status=JobStatus.COMPLETED, target=JobTarget.RUNNING)
        unit.control.set_job(ended, 31.0)
    return Asked(id=job.id, tenant="a", trials=2, steps=STEPS)


@pytest.fixture
def world(postgres_store, tmp_path):
    stored = Stored(postgres_store.engine.url.render_as_string(hide_password=False), tmp_path)
    yield stored
    stored._hang_up()


def problems(world, job):
    return check_ended(world, job) + check_jobs(world, [job]) + check_usage(world)


def test_where_nothing_was_lost_nothing_is_said(world, job):
    assert problems(world, job) == []
    assert check_now(world, [job]) == []
    assert check_unheard(world, 0.0, "an outage") == []


def test_an_execution_given_up_while_nobody_could_hear_it_is_noticed(world, job):
    world.change('UPDATE tuning_tasks SET outcome = replace(outcome, \'"failure":""\', \'"failure":"silent"\')')
    [problem] = check_unheard(world, 0.0, "an outage")
    assert problem.endswith("was given up for its silence during 'an outage'")
    assert check_unheard(world, 30.0, "an outage") == [], "it was over by then"


@pytest.mark.parametrize(
    "loss",
    [
        "DELETE FROM measurements WHERE step = 2",
        "UPDATE measurements SET value = 7 WHERE step = 1",
        "UPDATE measurements SET step = 99 WHERE step = 0",
        "DELETE FROM events WHERE kind = 'trial' AND data LIKE '%completed%'",
        "INSERT INTO events (job_id, kind, data, at) SELECT job_id, kind, data, at FROM events WHERE kind = 'trial'",
        "UPDATE trials SET status = 'failed' WHERE number = 1",
        "UPDATE trials SET value = 9 WHERE number = 0",
        "UPDATE trials SET number = 2 WHERE number = 1",
        "DELETE FROM trials WHERE number = 1",
        "UPDATE tuning_tasks SET status = 'succeeded' WHERE status = 'lost'",
        "UPDATE tuning_tasks SET status = 'claimed' WHERE status = 'lost'",
        "UPDATE tuning_jobs SET status = 'failed'",
        "UPDATE usage SET cpu_s = cpu_s + 1",
        "UPDATE usage SET cost = cost * 2",
        "UPDATE usage SET tasks = tasks - 1",
    ],
)
def test_each_loss_is_said(world, job, loss):
    world.change(loss)
    assert problems(world, job)


def test_an_execution_that_counts_and_did_not_finish_is_said(world, job):
    for path in world.records.glob(f"{job.id}.0.*"):
        path.write_text(path.read_text().replace('{"ended": true}', ""))
    assert problems(world, job)


def test_a_job_that_was_not_asked_for_is_said(world, job):
    assert check_jobs(world, [])
