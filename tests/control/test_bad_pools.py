"""What a job says whose pool is of no use to it, and a controller that must not serve the database."""

import contextlib
import dataclasses
import os
import subprocess
import sys
import threading
import time

import pytest
from alembic import command
from sqlalchemy import select
from structlog.testing import capture_logs

from tests.control import clusters
from tests.waiting import wait_for
from tuning_service.compute.base import Capacity
from tuning_service.control import reconciler, standby, standing
from tuning_service.domain.errors import NotFound, TryAgain
from tuning_service.domain.job import Budget, Resources
from tuning_service.manager.model_tuning_mgr import ModelTuningMgr
from tuning_service.manager.pool_mgr import PoolMgr
from tuning_service.storage import engine as engines
from tuning_service.storage.clock import DatabaseClock
from tuning_service.storage.tables import tuning_jobs


def shown_reason(house, job):
    """As its tenant sees it."""
    tuning = ModelTuningMgr(house.store, house.artifacts, notify=house.notify)
    return tuning.job(house.alice, job.id).job.reason


class Away(clusters.Cluster):
    """A Spark master that does not answer for a while."""

    is_away = True

    def start(self):
        if self.is_away:
            raise TryAgain("Spark at spark://nowhere:7077 does not answer.")


def test_a_job_of_a_pool_that_cannot_be_reached_says_so_and_runs_once_it_can(house):
    backend = house.cluster(Away)
    house.controller(backend)
    job = house.submit(Budget(trials=2, parallel=2))
    told = "Waits: the pool 'default' cannot be reached: Spark at spark://nowhere:7077 does not answer."
    wait_for(lambda: shown_reason(house, job) == told, lambda: shown_reason(house, job))
    backend.is_away = False
    house.until_status(job, "completed")
    assert shown_reason(house, job) == ""


def test_jobs_of_a_pool_that_cannot_be_reached_are_stopped_and_deleted_all_the_same(house):
    house.controller(house.cluster(Away))
    stopped, deleted = (house.submit(Budget(trials=2, parallel=2)) for _ in range(2))
    wait_for(lambda: "cannot be reached" in shown_reason(house, stopped))
    house.aim(stopped, "stopped")
    house.until_status(stopped, "stopped")
    house.aim(deleted, "deleted")
    with pytest.raises(NotFound):
        wait_for(lambda: not house.job(deleted))


def test_a_pool_that_cannot_be_reached_is_tried_again_and_again_and_said_once(house):
    backend = house.cluster(Away)
    tries = []
    start = backend.start
    backend.start = lambda: (tries.append(1), start())
    with capture_logs() as logs:
        house.controller(backend)
        wait_for(lambda: len(tries) >= 4)
    assert len([line for line in logs if line["event"] == "compute backend cannot be reached"]) == 1


def test_slots_that_are_stated_are_none_while_the_pool_cannot_be_reached(house):
    set_pool(house, slots=4)
    backend = house.cluster(Away)
    house.controller(backend)
    job = house.submit(Budget(trials=2))
    wait_for(lambda: house.job(job).reason == "Waits for executors.", lambda: house.job(job))
    assert house.tasks(job) == []
    backend.is_away = False
    house.until_status(job, "completed")


def test_a_job_whose_tenant_may_not_use_its_pool_any_more_starts_no_trials_until_it_may_again(house, monkeypatch):
    monkeypatch.setattr(standing, "_TENANT_S", 0.05)
    set_pool(house, tenants=("tenant_of_others",))
    house.controller(house.cluster())
    job = house.submit(Budget(trials=2, parallel=2))
    told = "Waits: the pool 'default' is not open to this tenant any more; ask the operator."
    wait_for(lambda: house.job(job).reason == told, lambda: house.job(job))
    assert house.tasks(job) == []
    set_pool(house, tenants=None)
    house.until_status(job, "completed")


def set_pool(house, **changes):
    with house.store.write() as unit:
        unit.pools.change(dataclasses.replace(unit.pools.get("default"), **changes))


class Slow(clusters.Cluster):
    """A Spark that takes long to start."""

    def __init__(self, desk):
        super().__init__(desk)
        self.may_start = threading.Event()

    def start(self):
        assert self.may_start.wait(60)


def controllers_of(house):
    with house.store.read() as unit:
        return unit.pools.controllers("default")


def controller_of(house):
    [seen] = controllers_of(house)
    return seen


def test_a_controller_is_heard_of_while_its_spark_starts_and_when_spark_answers_nothing(house, monkeypatch):
    monkeypatch.setattr(reconciler, "_STUCK_S", 0.2)
    backend = house.cluster(Slow)
    house.at_end.callback(backend.may_start.set)
    house.controller(backend, lease_s=1.0)
    job = house.submit(Budget(trials=2))
    wait_for(lambda: controllers_of(house))
    first = controller_of(house)
    wait_for(lambda: controller_of(house).seen_at > first.started_at + 2.5)  # a silent one would be gone by now
    assert shown_reason(house, job).startswith(
        "Waits: the pool 'default' cannot be reached: its controller has waited for "
    )
    backend.may_start.set()
    house.until_status(job, "completed")
    wait_for(lambda: controller_of(house).connected)
    assert controller_of(house).problem == ""
    answers = threading.Event()
    house.at_end.callback(answers.set)
    backend.capacity = lambda: answers.wait(60) and Capacity(cpus=2, gpus=0, largest_cpus=2, largest_gpus=0)
    wait_for(lambda: "for Spark or the database" in PoolMgr(house.store).pool(house.alice, "default").trouble)
    answers.set()
    wait_for(lambda: PoolMgr(house.store).pool(house.alice, "default").trouble == "")


def owner(house, job):
    with house.store.read() as unit:
        return unit._connection.execute(select(tuning_jobs.c.lease_owner).where(tuning_jobs.c.id == job.id)).scalar()


def test_a_controller_without_executors_leaves_jobs_to_one_that_has_some(house, monkeypatch):
    monkeypatch.setattr(standby, "PATIENCE_S", 0.3)
    able, starving = house.cluster(), house.cluster(slots=0)
    able.go_on.clear()
    first = house.controller(able, lease_s=3.0)
    wait_for(lambda: any(c.cpus for c in controllers_of(house)))
    second = house.controller(starving, lease_s=3.0)
    wait_for(
        lambda: any(
            "spark.cores.max" in c.problem for c in PoolMgr(house.store).pool(house.alice, "default").controllers
        )
    )
    assert PoolMgr(house.store).pool(house.alice, "default").trouble == "", "trials can start"
    jobs = [house.submit(Budget(trials=2, parallel=1)) for _ in range(3)]
    wait_for(lambda: all(owner(house, job) == first._owner for job in jobs))
    assert starving.submitted == []
    # Now the other way round: the one whose executors went gives up what it drives.
    able.slots, starving.slots = 0, 2
    wait_for(lambda: all(owner(house, job) == second._owner for job in jobs))
    for job in jobs:
        house.until_status(job, "completed")
        trials = [t.number for t in house.trials(job)]
        assert trials == [0, 1]


def test_without_any_executors_jobs_are_still_stopped_and_the_pool_says_why_none_runs(house, monkeypatch):
    monkeypatch.setattr(standby, "PATIENCE_S", 0.1)
    for _ in range(2):
        house.controller(house.cluster(slots=0), lease_s=3.0)
    job = house.submit(Budget(trials=2))
    wait_for(lambda: house.job(job).reason == "Waits for executors.")
    wait_for(lambda: shown_reason(house, job) == "Waits: the pool 'default' has no executors.")
    house.aim(job, "stopped")
    house.until_status(job, "stopped")


def test_a_job_that_wants_more_gpus_than_any_executor_has_waits_and_says_so(house):
    house.controller(house.cluster())
    job = house.submit(Budget(trials=2), resources=Resources(gpus=2))
    told = "Waits: no executor has 1 CPU and 2 GPUs for a trial."
    wait_for(lambda: house.job(job).reason == told, lambda: house.job(job))
    other = house.submit(Budget(trials=2))
    house.until_status(other, "completed")
    assert house.tasks(job) == []


@pytest.mark.parametrize("off_s", [-3600.0, 3600.0])
def test_a_controller_whose_clock_is_off_by_an_hour_serves_its_jobs_and_says_so(house, off_s):
    clock = DatabaseClock(house.store.engine, machine=lambda: time.time() + off_s)
    house.controller(house.cluster(), clock=clock, clock_skew=lambda: clock.skew_s)
    job = house.until_status(house.submit(Budget(trials=2)), "completed")
    assert abs(job.ended_at - time.time()) < 120
    seen = controller_of(house)
    assert abs(seen.skew_s - off_s) < 5
    assert seen.is_alive(time.time())
    assert PoolMgr(house.store).pool(house.alice, "default").trouble == ""


def test_what_a_controller_says_last_is_what_it_knew_last(house):
    late = threading.Event()

    def skew():
        if threading.current_thread().name == "word" and not late.is_set():
            late.set()
            # Time for the other thread to tell that Spark is connected, which this one did not know yet.
            assert house.controllers[0].ready.wait(20)
            with contextlib.suppress(AssertionError):
                wait_for(lambda: any(c.connected for c in controllers_of(house)), within_s=0.5)
        return 0.0

    house.controller(house.cluster(), clock_skew=skew)
    house.until_status(house.submit(Budget(trials=2)), "completed")
    assert late.is_set()
    assert PoolMgr(house.store).pool(house.alice, "default").trouble == ""


def test_a_controller_of_another_schema_refuses_to_start_and_says_what_to_do(tmp_path):
    url = f"sqlite:///{tmp_path / 'tuning.db'}"
    engine = engines.open_engine(url)
    engines.upgrade_schema(engine)
    command.downgrade(engines._alembic(engine), "0006")
    engine.dispose()
    environment = {**os.environ, "TUNING_SERVICE_DATABASE_URL": url, "TUNING_SERVICE_DATA_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "tuning_service", "controller", "--service-url", "http://127.0.0.1:1"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode != 0
    assert "revision 0006" in done.stderr
    assert "tuning-service db upgrade" in done.stderr
    assert "Traceback" not in done.stderr
