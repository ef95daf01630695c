"""The two services that are measured, each by its own command, in a process of its own."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import psutil
from playwright.sync_api import APIRequestContext

from tuning_service.domain.state import Role
from tuning_service.manager.access import AccessMgr
from tuning_service.manager.task_tokens import TaskTokens
from tuning_service.storage.engine import open_engine, upgrade_schema
from tuning_service.storage.store import Store


class Server:
    """Context manager. A process that serves HTTP at `url`."""

    def __init__(self, command: list[str], log: Path) -> None:
        self.command, self.log, self.url = command, log, ""
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, env=self._environment())
        self.url = self._await_url()
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _environment(self) -> Mapping[str, str]:
        return os.environ

    def _await_url(self) -> str:
        raise NotImplementedError

    def _until(self, is_there: Any, limit_s: float = 120) -> None:
        assert self.process is not None
        deadline = time.monotonic() + limit_s
        while not is_there():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.command[0]} does not serve; see {self.log}")
            time.sleep(0.1)

    def sign_in(self, request: APIRequestContext) -> None:
        """The browser context to which `request` belongs may see all pages."""

    def _processes(self) -> list[psutil.Process]:
        assert self.process is not None
        root = psutil.Process(self.process.pid)
        return [root, *root.children(recursive=True)]

    def cpu_s(self) -> float:
        """Seconds of CPU so far, of the process and its children."""
        return sum(sum(p.cpu_times()[:2]) for p in self._processes())

    def rss_mib(self) -> float:
        """Resident memory, of the process and its children."""
        return sum(p.memory_info().rss for p in self._processes()) / 2**20


class Ours(Server):
    """`tuning-service manager` on SQLite. Has what tests.rest_service.Driver wants of a service."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._ready = folder / "ready.json"
        command = [sys.executable, "-m", "tuning_service", "manager", "--data-dir", str(folder), "--port", "0"]
        super().__init__([*command, "--ready-file", str(self._ready)], folder / "log.txt")
        url = f"sqlite:///{folder / 'tuning.db'}"
        engine = open_engine(url)
        upgrade_schema(engine)
        engine.dispose()
        self.store = Store.open(url)
        self.token = TaskTokens(self.store).of
        self._access = AccessMgr(self.store)
        operator = self._access.authenticate(self._access.create_operator_key("benchmark")[1])
        self._access.create_tenant(operator, "vision", max_parallel=4)
        made = self._access.create_key(operator, name="member", role=Role.MEMBER, tenant="vision")
        self.key = made[1]

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self.store.close()

    def _environment(self) -> Mapping[str, str]:
        return {name: value for name, value in os.environ.items() if not name.startswith("TUNING_SERVICE_")}

    def _await_url(self) -> str:
        self._until(self._ready.exists)
        url: str = json.loads(self._ready.read_text())["url"]
        return url

    def sign_in(self, request: APIRequestContext) -> None:
        answer = request.post(f"{self.url}/v1/session", data={"key": self.key})
        assert answer.ok, answer.text()

    def principal(self) -> Any:
        return self._access.authenticate(self.key)


class OptunaDashboard(Server):
    """`optuna-dashboard` on a SQLite file, with its own defaults."""

    def __init__(self, python: Path, file: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self._port = probe.getsockname()[1]
        command = [str(python.parent / "optuna-dashboard"), f"sqlite:///{file}"]
        super().__init__([*command, "--host", "127.0.0.1", "--port", str(self._port)], file.with_suffix(".log"))

    def _await_url(self) -> str:
        def answers() -> bool:
            try:
                socket.create_connection(("127.0.0.1", self._port), 1).close()
            except OSError:
                return False
            return True

        self._until(answers)
        return f"http://127.0.0.1:{self._port}"
