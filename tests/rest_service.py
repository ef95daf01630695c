"""The REST interface over real managers and a real database, served on a port, without a controller.

Where a test needs trials, `Driver` stores them as a controller would and runs them as a runner would, over HTTP.
"""

import asyncio
import gzip
import io
import ssl
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from tests import databases
from tuning_service import portal
from tuning_service.api import create_app
from tuning_service.api.deps import Managers
from tuning_service.client import TuningClient
from tuning_service.domain.ids import new_id
from tuning_service.domain.pool import ControllerSeen
from tuning_service.domain.principal import User
from tuning_service.domain.state import JobStatus, Role, TaskStatus, TrialStatus
from tuning_service.domain.trial import Measurement, Outcome, Trial, TuningTask
from tuning_service.manager.access import AccessMgr
from tuning_service.manager.analysis_mgr import AnalysisMgr
from tuning_service.manager.artifact_desk import ArtifactDesk
from tuning_service.manager.artifact_mgr import ArtifactMgr
from tuning_service.manager.curve_keeper import CurveKeeper
from tuning_service.manager.job_overview_mgr import JobOverviewMgr
from tuning_service.manager.listing_mgr import ListingMgr
from tuning_service.manager.log_search import LogSearchMgr
from tuning_service.manager.model_tuning_mgr import ModelTuningMgr
from tuning_service.manager.plugin_checks import PluginCheckMgr
from tuning_service.manager.plugin_mgr import PluginMgr
from tuning_service.manager.pool_mgr import PoolMgr
from tuning_service.manager.presence import Presence
from tuning_service.manager.preview_mgr import PreviewMgr
from tuning_service.manager.program_mgr import ProgramMgr
from tuning_service.manager.resource_mgr import ResourceMgr
from tuning_service.manager.session_mgr import SessionMgr
from tuning_service.manager.steering_mgr import SteeringMgr
from tuning_service.manager.task_desk import TaskDesk, ticket_token
from tuning_service.manager.usage_mgr import UsageMgr
from tuning_service.manager.user_mgr import UserMgr
from tuning_service.manager.watch_mgr import WatchMgr
from tuning_service.runner.bundle import BundleLimits
from tuning_service.runner.protocol import Claim, Report
from tuning_service.search.plugins.cache import PluginCache
from tuning_service.search.plugins.limits import PluginLimits
from tuning_service.storage.artifacts import ArtifactStore
from tuning_service.storage.control import Lease
from tuning_service.storage.store import Store

TRAIN = b"print('val_accuracy=0.5')\n"
MAX_UPLOAD = 200_000
ARTIFACT_LIMIT = 40_000_000
# Nothing here speaks TLS, and httpx would read all the system's certificates for each client.
_NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
ENVIRONMENTS = {"tf-2.21": "/opt/tf-2.21/bin/python", "lts": "/opt/lts/bin/python"}


def archive(files: dict[str, bytes] | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in (files or {"train.py": TRAIN}).items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), mtime=0)  # the same files have the same digest a second later too


def job_file(program: str, /, **changes: Any) -> dict[str, Any]:
    return {
        "name": "digits",
        "framework": "pytorch",
        "program": program,
        "command": "python train.py",
        "space": {
            "lr": {"type": "float", "min": 1e-4, "max": 0.3, "scale": "log"},
            "optimizer": {"type": "categorical", "values": ["sgd", "adam"]},
            "momentum": {"type": "float", "min": 0.0, "max": 0.99, "when": {"optimizer": ["sgd"]}},
        },
        "objective": {"metric": "val_accuracy", "goal": "maximize"},
        "algorithm": {"name": "random"},
        "budget": {"trials": 4, "parallel": 2},
    } | changes


def wait_until(condition: Callable[[], Any], limit_s: float = 20.0) -> Any:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError("the condition did not come true in time")


class _Server(uvicorn.Server):
    """Looks every hundredth of a second whether to end; at each tenth, a run would wait half a minute."""

    async def main_loop(self) -> None:
        ticks = 0
        while not await self.on_tick(ticks):
            ticks += 1
            await asyncio.sleep(0.01)


class Service:
    """One service with tenants 'vision' (the usual one) and 'speech' (somebody else)."""

    def __init__(self, folder: Path, max_upload_bytes: int = MAX_UPLOAD) -> None:
        self.store = Store.open(databases.sqlite_in(folder))
        self.notified: list[str] = []
        artifacts = self.artifacts = ArtifactStore(str(folder / "artifacts"))
        self.tuning = ModelTuningMgr(
            self.store,
            artifacts,
            notify=self.notified.append,
            bundle_limits=BundleLimits(),
            max_upload_bytes=max_upload_bytes,
            environments=ENVIRONMENTS,
        )
        self.access = AccessMgr(self.store)
        keeper = CurveKeeper(self.store)
        self.analysis = AnalysisMgr(self.store, keeper=keeper)
        self.desk = TaskDesk(
            self.store, artifacts, notify=self.notified.append, environments=ENVIRONMENTS, keeper=keeper
        )
        self.desk_of_artifacts = ArtifactDesk(self.store, artifacts, limit_bytes=ARTIFACT_LIMIT)
        self.not_ready: list[str] = []
        cache = self._cache = PluginCache(folder / "plugin-cache", install_s=120)
        limits = self._limits = PluginLimits(answer_s=20, memory_bytes=2**31)
        self.plugins = PluginMgr(self.store, artifacts, cache, limits=limits, install_s=120)
        self.pools = PoolMgr(self.store)
        self.sessions = SessionMgr(self.store)
        self.users = UserMgr(self.store)
        managers = self.managers = Managers(
            tuning=self.tuning,
            listing=ListingMgr(self.store),
            steering=SteeringMgr(self.store, notify=self.notified.append),
            watching=WatchMgr(self.store),
            access=self.access,
            desk=self.desk,
            plugins=self.plugins,
            pools=self.pools,
            sessions=self.sessions,
            users=self.users,
            plugin_checks=self.another_checker(),
            previews=PreviewMgr(self.store, artifacts, environments=ENVIRONMENTS),
            programs=ProgramMgr(self.store, artifacts),
            log_search=LogSearchMgr(self.store, artifacts),
            usage=UsageMgr(self.store),
            overview=JobOverviewMgr(self.store),
            analysis=self.analysis,
            resources=ResourceMgr(self.store),
            artifacts=ArtifactMgr(self.store, artifacts),
            artifact_desk=self.desk_of_artifacts,
        )
        self.presence = Presence(self.store, artifacts, apart=True, check_s=0.05)
        self.app = create_app(managers, is_ready=self._is_ready)
        portal.install(self.app)
        self.operator_key = self.access.create_operator_key("root")[1]
        operator = self.access.authenticate(self.operator_key)
        self.keys: dict[str, str] = {}
        for tenant in ("vision", "speech"):
            self.access.create_tenant(operator, tenant, max_parallel=4)
            for role in (Role.VIEWER, Role.MEMBER, Role.ADMIN):
                self.keys[f"{tenant}/{role}"] = self.access.create_key(
                    operator, name=str(role), role=role, tenant=tenant
                )[1]
        self.key = self.keys["vision/member"]
        self.token = ticket_token(self.store)
        self.url = ""

    def another_checker(self, **options: Any) -> PluginCheckMgr:
        """Of plug-ins, as another manager on the same database has one."""
        return PluginCheckMgr(self.store, self.plugins, self.artifacts, self._cache, limits=self._limits, **options)

    def _is_ready(self) -> str:
        if self.not_ready:
            raise ConnectionError(self.not_ready[0])
        return self.presence.ready()

    def http(self, key: str | None = None, **options: Any) -> httpx.Client:
        headers = {} if key == "" else {"Authorization": f"Bearer {key or self.key}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=20, verify=_NO_CERTIFICATES, **options)

    def client(self, key: str | None = None) -> TuningClient:
        return TuningClient(self.url, key or self.key)

    def principal(self, key: str | None = None) -> Any:
        return self.access.authenticate(key or self.key)

    @contextmanager
    def served(self, port: int = 0) -> Iterator["Service"]:
        config = uvicorn.Config(self.app, host="127.0.0.1", port=port, log_config=None, access_log=False, ws="none")
        server = _Server(config)
        thread = threading.Thread(target=server.run, name="uvicorn")
        thread.start()
        try:
            wait_until(lambda: server.started or not thread.is_alive())
            self.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
            yield self
        finally:
            self.app.state.stopping.set()
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()
            self.app.state.stopping.clear()

    def close(self) -> None:
        """No thread, process or connection of it is left."""
        self.plugins.close()
        self.analysis.close()
        self.store.close()


PASSWORD = "correct horse battery"


def a_user(service: Service, name: str, role: Role = Role.MEMBER, tenant: str = "vision") -> User:
    """A user whose password is PASSWORD."""
    operator = service.principal(service.operator_key)
    return service.users.create(operator, name=name, role=role, password=PASSWORD, tenant=tenant)


def a_controller(**changes: Any) -> ControllerSeen:
    """A controller of the pool 'default' that was just heard of."""
    now = time.time()
    known = {
        "id": "controller-1",
        "pool": "default",
        "version": "0.1.0",
        "host": "node1",
        "pid": 7,
        "started_at": now - 60,
        "seen_at": now,
        "lease_s": 3600.0,
        "connected": True,
        "cpus": 8,
        "gpus": 2,
    }
    return ControllerSeen(**known | changes)


@dataclass
class Driver:
    """Does to one job what a controller and its runners do, step by step."""

    service: Service
    job_id: str
    lease: Lease | None = None

    def _write(self, act: Callable[[Any], Any]) -> Any:
        with self.service.store.write() as unit:
            if self.lease is None:
                wanted = [Lease(job_id=self.job_id, tenant_id=self.service.principal().tenant_id, epoch=1)]
                self.lease = unit.control.claim_jobs(wanted, "test", time.time(), 3600)[0]
                unit.pools.heard_of(a_controller())
            unit.control.fence(self.lease)
            return act(unit.control)

    def set_status(self, status: JobStatus, reason: str = "") -> None:
        now = time.time()
        over = status in {JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.STOPPED}

        def act(control: Any) -> None:
            job = control.job(self.job_id)
            control.set_job(
                replace(
                    job,
                    status=status,
                    reason=reason,
                    started_at=job.started_at or now,
                    running_since=now,
                    ended_at=now if over else None,
                ),
                now,
            )

        self._write(act)

    def add_trial(self, number: int, params: dict[str, Any] | None = None) -> "Run":
        now = time.time()
        tenant = self.service.principal().tenant_id
        trial = Trial(
            id=new_id("trial"),
            job_id=self.job_id,
            tenant_id=tenant,
            number=number,
            params=params or {"lr": 0.01, "optimizer": "adam"},
            status=TrialStatus.QUEUED,
            created_at=now,
        )
        task_id = new_id("task")
        task = TuningTask(
            id=task_id,
            trial_id=trial.id,
            job_id=self.job_id,
            tenant_id=tenant,
            trial_number=number,
            number=0,
            status=TaskStatus.CREATED,
            handle=task_id,
            created_at=now,
        )

        def act(control: Any) -> None:
            control.add_trials([trial])
            control.add_tasks([task])

        self._write(act)
        return Run(self, trial, task_id)

    def delete(self) -> None:
        self._write(lambda control: control.delete_job(self.job_id))


@dataclass
class Run:
    """One trial's only execution."""

    driver: Driver
    trial: Trial
    task_id: str
    log_bytes: int = 0

    def post(self, what: str, data: dict[str, Any], token: str | None = None) -> httpx.Response:
        token = token or self.driver.service.token(self.task_id)
        return httpx.post(
            f"{self.driver.service.url}/v1/tasks/{self.task_id}/{what}",
            json=data,
            headers={"Authorization": f"Bearer {token}"},
            timeout=20,
            verify=_NO_CERTIFICATES,
        )

    def claim(self) -> httpx.Response:
        return self.post("claim", Claim(attempt=0, nonce=f"nonce-{self.task_id[-20:]}", host="worker-1").to_json())

    def report(self, *points: tuple[int, str, float], log: str = "", outcome: Outcome | None = None) -> httpx.Response:
        measurements = tuple(
            Measurement(step=step, metric=metric, value=value, elapsed_s=0.1 * step) for step, metric, value in points
        )
        report = Report(measurements=measurements, log_offset=self.log_bytes, log=log, outcome=outcome)
        self.log_bytes += len(log.encode())
        return self.post("report", report.to_json())

    def finish(self, value: float | None, *, values: dict[str, float] | None = None, violation: float = 0.0) -> None:
        """The program ends, and the controller draws the conclusion."""
        status = TaskStatus.SUCCEEDED if value is not None else TaskStatus.FAILED
        assert self.report(outcome=Outcome(status=status, exit_code=0 if value is not None else 1)).status_code == 200
        ended = replace(
            self.trial,
            status=TrialStatus.COMPLETED if value is not None else TrialStatus.FAILED,
            value=value,
            values=values or ({} if value is None else {"val_accuracy": value}),
            violation=violation,
            metrics={} if value is None else {"val_accuracy": value},
            reason="" if value is not None else "the program ended with exit code 1",
            ended_at=time.time(),
        )
        number = self.trial.number
        self.driver._write(lambda control: control.set_trial(ended, time.time(), settled=number))

    def complete(self, value: float | None, log: str = "") -> None:
        """Claim, report and finish in one go."""
        assert self.claim().status_code == 200
        points = () if value is None else ((1, "val_accuracy", value),)
        assert self.report(*points, log=log).status_code == 200
        self.finish(value)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A service on a port of its own."""
    service = Service(tmp_path)
    with service.served():
        yield service
    service.close()


@pytest.fixture
def driver(service: Service) -> Driver:
    """A job of tenant 'vision' that runs."""
    with service.http() as http:
        program = http.post("/v1/programs", content=archive()).json()["digest"]
        job = http.post("/v1/tuning-jobs", json=job_file(program))
    assert job.status_code == 201, job.text
    driver = Driver(service, job.json()["id"])
    driver.set_status(JobStatus.RUNNING)
    return driver
