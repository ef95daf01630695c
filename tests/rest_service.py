"""The REST interface over real managers and a real database, served on a port, without a controller.

Where a test needs trials, `Driver` stores them as a controller would and runs them as a runner would, over HTTP.
"""

import asyncio
import gzip
import io
import json
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
from tests.waiting import wait_for
from tuning_service import portal
from tuning_service.api import create_app
from tuning_service.client import TuningClient
from tuning_service.domain.clock import system_clock
from tuning_service.domain.ids import new_id
from tuning_service.domain.pool import ControllerSeen
from tuning_service.domain.principal import User
from tuning_service.domain.state import JobStatus, Role, TaskStatus, TrialStatus
from tuning_service.domain.trial import Measurement, Outcome, Trial, TuningTask
from tuning_service.manager.access import AccessMgr
from tuning_service.manager.plugin_checks import PluginCheckMgr
from tuning_service.manager.presence import Presence
from tuning_service.manager.task_tokens import TaskTokens
from tuning_service.runner.protocol import Claim, Report
from tuning_service.settings import Settings
from tuning_service.storage.artifacts import ArtifactStore
from tuning_service.storage.control import Lease
from tuning_service.storage.store import Store
from tuning_service.wiring import managers_of, plugin_cache, plugin_limits

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


def upload(http: httpx.Client, files: dict[str, bytes] | None = None) -> str:
    """The digest of a program that was stored."""
    answer = http.post("/v1/programs", content=archive(files))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["digest"])


def submit(http: httpx.Client, files: dict[str, bytes] | None = None, /, **changes: Any) -> httpx.Response:
    """The answer to a job file with these changes, whose program was stored before."""
    body = json.dumps(job_file(upload(http, files), **changes))  # httpx itself would not send every text
    return http.post("/v1/tuning-jobs", content=body, headers={"Content-Type": "application/json"})


class _Hasty:
    """asyncio, of which uvicorn sleeps for a hundredth of a second where it would for a tenth: at each end of a server,
    and between two looks whether it is to end. Over all tests those are minutes.
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 10)


uvicorn.server.asyncio = _Hasty()


class Service:
    """One service with tenants 'vision' (the usual one) and 'speech' (somebody else)."""

    def __init__(self, folder: Path, max_upload_bytes: int = MAX_UPLOAD) -> None:
        settings = self._settings = Settings(
            data_dir=str(folder),
            environments=ENVIRONMENTS,
            artifact_limit_bytes=ARTIFACT_LIMIT,
            max_upload_bytes=max_upload_bytes,
            plugin_install_s=120,
            plugin_timeout_s=20,
        )
        self.store = Store.open(databases.sqlite_in(folder))
        self.artifacts = ArtifactStore(settings.artifacts)
        self.notified: list[str] = []
        self.not_ready: list[str] = []
        managers = self.managers = managers_of(settings, self.store, system_clock, self.notified.append)
        self.tuning, self.desk, self.analysis = managers.tuning, managers.desk, managers.analysis
        self.access, self.sessions, self.users = managers.access, managers.sessions, managers.users
        self.plugins, self.pools = managers.plugins, managers.pools
        self.presence = Presence(self.store, self.artifacts, apart=True, check_s=0.05)
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
        self.token = TaskTokens(self.store).of
        self.url = ""

    def another_checker(self, **options: Any) -> PluginCheckMgr:
        """Of plug-ins, as another manager on the same database has one."""
        cache, limits = plugin_cache(self._settings), plugin_limits(self._settings)
        return PluginCheckMgr(self.store, self.plugins, self.artifacts, cache, limits=limits, **options)

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
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, name="uvicorn")
        thread.start()
        try:
            wait_for(lambda: server.started or not thread.is_alive())
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


def an_expired_key(service: Service) -> str:
    """A member's, that was made an hour ago."""
    operator = service.principal(service.operator_key)
    access = AccessMgr(service.store, lambda: time.time() - 3600)
    made = access.create_key(operator, name="old", role=Role.MEMBER, tenant="vision", expires_at=time.time() - 1)
    return made[1]


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


def running(service: Service, files: dict[str, bytes] | None = None, /, **changes: Any) -> Driver:
    """A job of tenant 'vision' that runs, of a job file with these changes."""
    with service.http() as http:
        job = submit(http, files, **changes)
    assert job.status_code == 201, job.text
    driver = Driver(service, job.json()["id"])
    driver.set_status(JobStatus.RUNNING)
    return driver


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
    return running(service)
