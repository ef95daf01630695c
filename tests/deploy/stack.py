"""docker-compose.yml without containers: its processes in its order, with its commands, settings and health checks.

Hosts become 127.0.0.1, ports free ones, and folders temporary ones. PostgreSQL is the suite's own, and a small
balancer stands where the proxy does.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from tests.deploy import compose
from tests.deploy.balancer import Balancer
from tests.e2e.service import _MARK, Deployment, log_text
from tests.machine import free_port
from tests.spark_cluster import SPARK_HOME
from tests.waiting import wait_for
from tuning_service.compute.java import java_home

_SETTINGS = {"POSTGRES_PASSWORD": "secret", "WORKER_CORES": "1", "WORKER_MEMORY": "1g"}
_PROGRAMS = {
    "tuning-service": [sys.executable, "-m", "tuning_service"],
    "spark-class": [str(SPARK_HOME / "bin" / "spark-class")],
    "python": [sys.executable],
}


class Stack(Deployment):
    """Context manager. `processes_of` has them by service, in the order of their start."""

    def __init__(self, folder: Path, database_url: str) -> None:
        super().__init__(folder)
        self.database_url = database_url
        self.services: dict[str, Any] = compose.load(**_SETTINGS)["services"]
        self.processes_of: dict[str, list[subprocess.Popen[bytes]]] = {}
        self.ports: dict[str, list[int]] = {
            "manager": [free_port() for _ in range(self.services["manager"]["deploy"]["replicas"])],
            "spark-worker": [free_port() for _ in range(int(self.services["spark-worker"]["deploy"]["replicas"]))],
            "spark-master": [free_port()],
        }
        self.balancer = Balancer(self.ports["manager"])
        self._service = "manager"

    def __enter__(self) -> Self:
        self.balancer.__enter__()
        try:
            for name in compose.in_order(self.services):
                if name not in {"database", "proxy"}:
                    self._start_service(name)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            # In the order in which compose ends them: nobody outlives whom it waited for.
            for name in reversed(self.processes_of):
                for process in self.processes_of[name]:
                    process.terminate()
                    process.wait(60)
            self.stop()
        finally:
            self.balancer.__exit__()

    def manager_url(self, index: int) -> str:
        return f"http://127.0.0.1:{self.ports['manager'][index]}"

    def _environment(self) -> dict[str, str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("TUNING_", "SPARK", "PYSPARK", "PYTHON"))}
        image = {
            "JAVA_HOME": str(java_home()),
            "SPARK_HOME": str(SPARK_HOME),
            "PYSPARK_PYTHON": sys.executable,
            "TUNING_SERVICE_DATA_DIR": str(self.folder / "data"),
            "TUNING_SERVICE_LOG_FORMAT": "json",
            # The image has the package installed. Spark's processes are given no more than Spark has.
            **({} if self._service.startswith("spark") else {"PYTHONPATH": str(compose.ROOT)}),
            "SPARK_LOCAL_IP": "127.0.0.1",
            _MARK: self.mark,
        }
        told = {k: self._here(str(v), 0) for k, v in self.services[self._service].get("environment", {}).items()}
        return clean | image | told

    def _start_service(self, name: str) -> None:
        self._service = name
        service = self.services[name]
        replicas = int(service.get("deploy", {}).get("replicas", 1))
        for index in range(replicas):
            process = self._run(service["command"], index)
            self.processes_of.setdefault(name, []).append(process)
            if "test" not in service["healthcheck"]:  # it does its work and ends
                assert process.wait(120) == 0, self.log()
                continue
            check = [self._here(word, index) for word in service["healthcheck"]["test"][1:]]
            wait_for(self._healthy(check, process), within_s=120, what=f"{name} healthy")

    def _run(self, words: list[str], index: int) -> "subprocess.Popen[bytes]":
        words = [self._here(word, index) for word in words]
        with self.log_of(len(self._processes)).open("wb") as log:
            process = subprocess.Popen(
                [*_PROGRAMS[words[0]], *words[1:]],
                env=self._environment(),
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def _healthy(self, check: list[str], process: "subprocess.Popen[bytes]") -> Callable[[], bool]:
        command = [*_PROGRAMS.get(check[0], [check[0]]), *check[1:]]

        def look() -> bool:
            assert process.poll() is None, log_text(self.log_of(len(self._processes) - 1))
            if subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0:
                return True
            time.sleep(0.3)
            return False

        return look

    def _here(self, text: str, index: int) -> str:
        if text == "0.0.0.0":  # as a word alone: networks such as 10.0.0.0/8 hold it, too
            return "127.0.0.1"
        port = self.ports.get(self._service, [0])[index]
        [master] = self.ports["spark-master"]
        for there, here in (
            ("postgresql://tuning:secret@database:5432/tuning", self.database_url),
            ("http://proxy:8080", self.balancer.url),
            ("spark://spark-master:7077", f"spark://127.0.0.1:{master}"),
            ("spark-master", "127.0.0.1"),
            ("7077", str(master)),
            ("8765", str(port)),
            ("8081", str(port)),
            ("8080", "0"),  # the master's own pages, which nobody asks for
            ("/var/lib/tuning", str(self.folder)),
            ("/tmp/ready.json", str(self.folder / "ready.json")),
        ):
            text = text.replace(there, here)
        return text
