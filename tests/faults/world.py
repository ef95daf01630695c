"""A whole deployment that faults happen to: a Spark cluster, PostgreSQL, managers behind a balancer, controllers."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psycopg
from psycopg.rows import dict_row

from tests.e2e.service import Deployment
from tests.faults.forwarder import Forwarder
from tests.faults.network import Namespace, namespaces_work
from tests.machine import descendants, environment_of, free_port, is_running, parent_of
from tests.postgres import PostgresServer
from tests.spark_cluster import StandaloneCluster
from tests.waiting import wait_for
from tuning_service.client import TuningClient

LEASE_S = 3.0
SILENT_S = 10.0
SLOTS = 2  # of each controller's Spark application
PRICE = 3.6
_HERE = "127.0.0.1"
TENANTS = ("acme", "zenith")
_PROGRAMS = Path(__file__).parent / "programs"


@dataclass
class Seat:
    """A process of the service with a place of its own, in which it is started again."""

    command: str
    options: tuple[str, ...]
    process: subprocess.Popen[bytes] | None = None

    @property
    def pids(self) -> list[int]:
        """The process and all below it."""
        assert self.process is not None
        return [self.process.pid, *descendants(self.process.pid)]

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None


class World:
    """Context manager. Entered and left by one thread, which has to outlive the cluster's processes."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self.folder, self.say = folder, say
        self.records = folder / "records"
        self.work = folder / "work"
        self.records.mkdir(parents=True)
        self.work.mkdir()
        self.deployment = Deployment(folder)
        self.exits: list[str] = []  # of processes that nobody killed
        self._stack = contextlib.ExitStack()
        self._connection: psycopg.Connection[dict[str, Any]] | None = None

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self._build(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _build(self, stack: contextlib.ExitStack) -> None:
        # What was committed has to outlive a server that is killed, as it does with a server's own settings.
        self.database = PostgresServer(synchronous_commit="on")
        stack.callback(self.database.stop)
        self.database.start()
        self.database_url = stack.enter_context(self.database.database())
        stack.callback(self._hang_up)
        self.has_small_disk = _mount(self.work)
        if self.has_small_disk:
            stack.callback(subprocess.run, ["umount", "-l", str(self.work)], check=False)
        self.recovery = self.folder / "master"
        self.network = stack.enter_context(Namespace()) if namespaces_work() else None
        apart: dict[str, Any] = {}
        if self.network:
            spark = self.network.spark
            apart = {"host": spark.host, "worker_host": spark.inside, "worker_command": self.network.command}
        self.cluster = stack.enter_context(
            StandaloneCluster(
                **apart,
                environment={"UNDER_TEST": self.deployment.mark},
                java=[
                    "-Dspark.deploy.recoveryMode=FILESYSTEM",
                    f"-Dspark.deploy.recoveryDirectory={self.recovery}",
                    "-Dspark.worker.timeout=8",
                ],
            )
        )
        managers = [free_port(), free_port()]
        self.front = stack.enter_context(Forwarder(managers))
        # Between executors and managers; it cuts what the network cannot be told to.
        self.inner = stack.enter_context(Forwarder(managers, self.network.service.host if self.network else _HERE))
        conf = {
            **self.cluster.conf,
            "spark.cores.max": str(SLOTS),
            "spark.executorEnv.TUNING_WORK_DIR": str(self.work),
        }
        self.deployment.settings |= {
            "DATABASE_URL": self.database_url,
            "ARTIFACTS_URL": self.folder / "artifacts",
            "SERVICE_URL": self.inner.url,
            "LEASE_S": LEASE_S,
            "SILENT_S": SILENT_S,
            "SPARK_PATIENCE_S": 20.0,
            "SPARK_PYTHON": sys.executable,
            "ALGORITHM_PROCESSES": 1,
        }
        stack.callback(self._stop_service)
        self.deployment.command("db", "upgrade")
        key = json.loads(self.deployment.command("key", "create", "--operator", "first", "--json"))["secret"]
        self.managers = [Seat("manager", ("--port", str(port))) for port in managers]
        self.controllers = [Seat("controller", ()) for _ in range(2)]
        for seat in self.managers:
            self.start(seat)
        with TuningClient(self.front.url, key) as operator:
            operator.change_pool("default", master=self.cluster.master, conf=conf, price=PRICE)
        del self.deployment.settings["SPARK_MASTER"]
        for seat in self.controllers:
            self.start(seat)
        self.deployment.url, self.deployment.operator_key = self.front.url, key
        self.clients = {name: stack.enter_context(self._tenant(name)) for name in TENANTS}

    def _tenant(self, name: str) -> TuningClient:
        with self.deployment.tenant(name) as made:
            secret = made._transport._http.headers["Authorization"].removeprefix("Bearer ")
        return TuningClient(self.front.url, secret, timeout_s=10, retry_s=120)

    def _stop_service(self) -> None:
        self.cut("")
        for pid in self.deployment.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        for seat in (*self.controllers, *self.managers):
            if seat.runs:
                assert seat.process is not None
                seat.process.terminate()
        for seat in (*self.controllers, *self.managers):
            if seat.process is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    seat.process.wait(20)
                seat.process.kill()
                seat.process.wait()

    def cut(self, how: str) -> None:
        """The network between executors and the rest is so from now on: see `Forwarder.cut` and `Namespace.cut`."""
        (self.network or self.inner).cut(how)

    # -- processes

    def start(self, seat: Seat) -> None:
        """Returns when it is ready; tried again for two minutes, as whoever runs services does."""
        deadline = time.monotonic() + 120
        while True:
            try:
                seat.process = self.deployment.start(seat.command, *seat.options)
            except AssertionError as error:
                if time.monotonic() > deadline:
                    raise
                self.say(f"{seat.command} did not start: {str(error)[-300:]}")
                time.sleep(1)
            else:
                self.deployment.url = self.front.url
                return

    def begin(self, seat: Seat) -> None:
        """Does not wait until it is ready; should it end instead, `keep_up` finds it."""
        seat.process, _ = self.deployment.begin(seat.command, *seat.options)

    def keep_up(self) -> None:
        """Start again what ended by itself, and keep account of it."""
        for seat in (*self.managers, *self.controllers):
            if not seat.runs:
                assert seat.process is not None
                self.exits.append(f"{seat.command} ended by itself with {seat.process.returncode}")
                self.say(self.exits[-1])
                self.begin(seat)
        for number in range(3):
            if not is_running(self.cluster.daemon(number).pid):
                self.exits.append(f"Spark's {'worker' if number else 'master'} ended by itself")
                self.say(self.exits[-1])
                self.cluster.start_again(number)

    def executors(self) -> list[int]:
        """Of the executors' JVMs."""
        return sorted(self.deployment.processes(containing="CoarseGrainedExecutorBackend"))

    def runners(self) -> list[int]:
        """Of the Python workers that run tasks."""
        found = self.deployment.processes(containing="pyspark.daemon")
        return sorted(pid for pid in found if parent_of(pid) in found)

    def trainings(self) -> dict[int, str]:
        """The task of each training that runs, by its process."""
        found = {}
        for pid in self.deployment.processes(containing="train.py"):
            with contextlib.suppress(KeyError):  # it has just ended
                variables = environment_of(pid).decode(errors="replace").split("\0")
                found[pid] = dict(v.split("=", 1) for v in variables if "=" in v)["TUNING_TASK"]
        return found

    # -- what is stored

    def _connected(self) -> psycopg.Connection[dict[str, Any]]:
        # Kept, for questions are many, and a server that starts a process for each has less time for the service.
        if self._connection is None:
            url = self.database_url.replace("+psycopg", "")
            self._connection = psycopg.connect(url, row_factory=dict_row, connect_timeout=10, autocommit=True)
        return self._connection

    def rows(self, statement: str, *values: object) -> list[dict[str, Any]]:
        """What the database holds, without the service; waits for a server that is starting."""

        def asked() -> list[list[dict[str, Any]]] | None:
            try:
                return [self._connected().execute(statement, values).fetchall()]
            except psycopg.OperationalError:
                self._hang_up()
                return None

        return wait_for(asked, within_s=90, what="the database")[0]

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    # -- jobs

    def submit(self, tenant: str, *, trials: int, steps: int, seed: int, gate: Path | None = None) -> str:
        command = f"python train.py --steps {steps} --records {self.records}"
        made = self.clients[tenant].submit(
            {
                "name": "under faults",
                "framework": "pytorch",
                "program": str(_PROGRAMS),
                "command": command + (f" --wait-for {gate}" if gate else ""),
                "space": {"x": {"type": "float", "min": 0.0, "max": 1.0}},
                "objective": {"metric": "loss", "goal": "minimize"},
                "algorithm": {"name": "random"},
                "budget": {"trials": trials, "parallel": SLOTS},
                "resources": {"cpus": 1, "gpus": 1},
                "seed": seed,
            }
        )
        job_id: str = made["id"]
        return job_id


def _mount(folder: Path) -> bool:
    """Whether `folder` is a small disk of its own from now on, which takes root."""
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        return False
    done = subprocess.run([mount, "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], capture_output=True)
    return done.returncode == 0
