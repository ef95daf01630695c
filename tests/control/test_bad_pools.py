"""What a job says whose pool is of no use to it, and a controller that must not serve the database."""

import contextlib
import os
import subprocess
import sys
import time

import pytest
from alembic import command

from tests.control import clusters
from tests.control.test_cordons import algorithms
from tests.control.test_job_ctrl import House, PlainFramework, cluster, until
from tuning_service.control.reconciler import Reconciler
from tuning_service.domain.errors import TryAgain
from tuning_service.domain.job import Budget, Resources
from tuning_service.frameworks import base as frameworks
from tuning_service.manager.model_tuning_mgr import ModelTuningMgr
from tuning_service.manager.pool_mgr import PoolMgr
from tuning_service.runner.bundle import BundleLimits
from tuning_service.storage import engine as engines
from tuning_service.storage.artifacts import ArtifactStore
from tuning_service.storage.clock import DatabaseClock

__all__ = ["algorithms"]


@pytest.fixture
def house(sqlite_store, tmp_path, algorithms, monkeypatch):
    monkeypatch.setitem(frameworks._MANAGERS, "plain", PlainFramework())
    with contextlib.ExitStack() as at_end:
        made = House(sqlite_store, ArtifactStore(str(tmp_path / "artifacts")), algorithms)
        made.at_end = at_end
        at_end.callback(lambda: [c.stop() for c in made.controllers])
        yield made


def shown_reason(house, job):
    """As its tenant sees it."""
    tuning = ModelTuningMgr(
        house.store, house.artifacts, notify=house.notify, bundle_limits=BundleLimits(), max_upload_bytes=1
    )
    return tuning.job(house.alice, job.id).job.reason


class Away(clusters.Cluster):
    """A Spark master that does not answer for a while."""

    is_away = True

    def start(self):
        if self.is_away:
            raise TryAgain("Spark at spark://nowhere:7077 does not answer.")


def test_a_job_of_a_pool_that_cannot_be_reached_says_so_and_runs_once_it_can(house):
    backend = cluster(house, Away)
    house.controller(backend)
    job = house.submit(Budget(trials=2, parallel=2))
    told = "Waits: the pool 'default' cannot be reached: Spark at spark://nowhere:7077 does not answer."
    until(lambda: shown_reason(house, job) == told, lambda: shown_reason(house, job))
    backend.is_away = False
    house.until_status(job, "completed")
    assert shown_reason(house, job) == ""


def test_a_job_that_wants_more_gpus_than_any_executor_has_waits_and_says_so(house):
    house.controller(cluster(house))
    job = house.submit(Budget(trials=2), resources=Resources(gpus=2))
    told = "Waits: no executor has 1 CPUs and 2 GPUs for a trial."
    until(lambda: house.job(job).reason == told, lambda: house.job(job))
    other = house.submit(Budget(trials=2))
    house.until_status(other, "completed")
    assert house.tasks(job) == []


@pytest.mark.parametrize("off_s", [-3600.0, 3600.0])
def test_a_controller_whose_clock_is_off_by_an_hour_serves_its_jobs_and_says_so(house, off_s):
    clock = DatabaseClock(house.store.engine, machine=lambda: time.time() + off_s)
    tools = house.tools(cluster(house))
    tools = type(tools)(**{name: getattr(tools, name) for name in type(tools).__slots__} | {"clock": clock})
    made = Reconciler(tools, tick_s=0.05, lease_s=15.0, alone=False, clock_skew=lambda: clock.skew_s)
    house.controllers.append(made)
    made.start()
    job = house.until_status(house.submit(Budget(trials=2)), "completed")
    assert abs(job.ended_at - time.time()) < 120
    with house.store.read() as unit:
        [seen] = unit.pools.controllers("default")
    assert abs(seen.skew_s - off_s) < 5
    assert seen.is_alive(time.time())
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
