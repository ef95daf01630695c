"""A real standalone Spark cluster on this machine, out of the pip package: a master and workers, each a JVM."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Self

import pyspark

from tests.machine import command_of, descendants, is_running
from tests.waiting import wait_for
from tuning_service.compute.java import java_home

SPARK_HOME = Path(pyspark.__file__).parent
# Becomes the command of its arguments, which gets SIGTERM (15) when whoever started it dies (PR_SET_PDEATHSIG, 1).
# Not a preexec_fn: from Python 3.12 on that warns in a process with threads, such as Py4J's.
_DIES_WITH_PARENT = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 15); os.execv(sys.argv[1], sys.argv[1:])"
# Many JVMs on a small machine: none lives long enough to be worth optimising.
_FRUGAL = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"
_HERE = "127.0.0.1"


class StandaloneCluster:
    """Context manager. `gpus` are made up, per worker; addresses count on from worker to worker: 0 1, 2 3."""

    def __init__(
        self,
        *,
        workers: int = 2,
        cores: int = 2,
        gpus: int = 2,
        environment: Mapping[str, str] | None = None,
        java: Collection[str] = (),
        host: str = _HERE,
        worker_host: str = _HERE,
        worker_command: Sequence[str] = (),
    ) -> None:
        """`environment` is what all processes get besides; `java` are options of the master's and workers' JVMs.

        The master and drivers are at the address `host`, workers and executors at `worker_host`, where a worker is
        started with its command after `worker_command`.
        """
        self.workers, self.cores, self.gpus = workers, cores, gpus
        self._host, self._worker_host, self._worker_command = host, worker_host, list(worker_command)
        self.master = ""  # spark://host:port, once entered
        self._environment, self._java = dict(environment or {}), " ".join([_FRUGAL, *java])

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="spark-cluster-"))
        self._processes: list[subprocess.Popen[bytes]] = []
        try:
            self._start_master()
            for _ in range(self.workers):
                self.start_worker()
            wait_for(lambda: self._log("master").count("Registering worker") == self.workers, "the workers")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        everything = [pid for process in self._processes for pid in (process.pid, *descendants(process.pid))]
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for pid in filter(is_running, everything):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def conf(self) -> dict[str, str]:
        """Spark properties for an application that takes the whole cluster, one small executor on each worker."""
        return {
            "spark.executor.cores": str(self.cores),
            "spark.executor.memory": "512m",
            "spark.executor.resource.gpu.amount": str(self.gpus),
            "spark.driver.host": self._host,
            "spark.driver.bindAddress": self._host,
            "spark.driver.memory": "512m",
            "spark.driver.extraJavaOptions": _FRUGAL,
            "spark.executor.extraJavaOptions": _FRUGAL,
        }

    def executors(self) -> list[int]:
        """Process ids of the executors' JVMs."""
        found = []
        for process in self._processes:
            for pid in descendants(process.pid):
                is_executor = b"org.apache.spark.executor.CoarseGrainedExecutorBackend" in command_of(pid)
                if is_executor and is_running(pid):
                    found.append(pid)
        return found

    def executor_of(self, pid: int) -> int:
        """The executor whose Python worker `pid` is."""
        return next(jvm for jvm in self.executors() if pid in descendants(jvm))

    def stop_workers(self) -> None:
        """Ends all workers, and with them their executors."""
        for process in self._processes[1:]:
            process.terminate()
            process.wait(20)

    def daemon(self, number: int) -> subprocess.Popen[bytes]:
        """The master (0), or the worker that was started as the `number`-th."""
        return self._processes[number]

    def start_again(self, number: int) -> None:
        """Starts the master (0) or a worker that has ended, at its old address and with its old GPUs."""
        self._processes[number].wait(10)
        if number:
            self.start_worker(number - 1)
        else:
            self._start_master(self.master.rpartition(":")[2])

    def _start_master(self, port: str = "0") -> None:
        log = self._spawn(0, "master", "org.apache.spark.deploy.master.Master", "--port", port)
        match = wait_for(
            lambda: re.search(r"Starting Spark master at (spark://\S+)", log.read_text(errors="replace")), "the master"
        )
        self.master = match[1]

    def start_worker(self, number: int | None = None) -> None:
        """Starts one more worker, or that one again; returns before it is registered."""
        number = len(self._processes) - 1 if number is None else number
        addresses = [str(number * self.gpus + i) for i in range(self.gpus)]
        script = self.folder / f"gpus-{number}.sh"
        script.write_text(f"#!/bin/sh\necho '{json.dumps({'name': 'gpu', 'addresses': addresses})}'\n")
        script.chmod(0o755)
        properties = self.folder / f"worker-{number}.conf"
        properties.write_text(
            f"spark.worker.resource.gpu.amount {self.gpus}\nspark.worker.resource.gpu.discoveryScript {script}\n"
            if self.gpus
            else ""
        )
        options = ["--port", "0", "--cores", str(self.cores), "--memory", "1g", "--work-dir", str(self.folder / "work")]
        name = f"worker-{number}"
        main = "org.apache.spark.deploy.worker.Worker"
        self._spawn(number + 1, name, main, *options, "--properties-file", str(properties), self.master)

    def _spawn(self, place: int, name: str, main: str, *arguments: str) -> Path:
        host = self._worker_host if place else self._host
        # Nothing of the project reaches executors through the environment or the current folder.
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYSPARK", "SPARK"))}
        environment |= {
            "JAVA_HOME": str(java_home()),
            "SPARK_HOME": str(SPARK_HOME),
            "SPARK_DAEMON_MEMORY": "256m",
            "SPARK_DAEMON_JAVA_OPTS": self._java,
            "SPARK_NO_DAEMONIZE": "1",
            "SPARK_LOCAL_IP": host,
            **self._environment,
        }
        log = self.folder / f"{name}.log"
        start = [str(SPARK_HOME / "bin" / "spark-class"), main, "--host", host, "--webui-port", "0"]
        command = [*(self._worker_command if place else ()), *start, *arguments]
        command[0] = shutil.which(command[0]) or command[0]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _DIES_WITH_PARENT, *command],
                env=environment,
                cwd=self.folder,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._processes[place : place + 1] = [process]
        return log

    def _log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")
