"""As much of Kubernetes as a Spark driver needs: an API over HTTP, and a node that runs containers as processes.

What the image would bring (Java, Spark, the entry) comes from this machine. Pods are started, found, ended and seen to
end; names, volumes and limits are kept as they were asked for, and mean nothing.
"""

import base64
import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from tests.spark_cluster import SPARK_HOME
from tuning_service.compute.java import java_home

ENTRYPOINT = Path(__file__).parents[2] / "deploy" / "entrypoint.py"


class KubernetesApi:
    """Context manager. `containers` are the environment that the image gives its processes, beside what pods say."""

    def __init__(self, folder: Path, **image: str) -> None:
        self.folder = folder
        self._image = {"JAVA_HOME": str(java_home()), "SPARK_HOME": str(SPARK_HOME), "PATH": os.environ["PATH"]} | image
        self._lock = threading.Lock()
        self._objects: dict[str, dict[str, dict[str, Any]]] = {}  # kind in the plural -> name -> object
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.asked: list[dict[str, Any]] = []  # pods, as Spark asked for them
        self.closing = threading.Event()

    def __enter__(self) -> Self:
        handler = type("Handler", (_Handler,), {"api": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="kubernetes")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        for name in list(self._processes):
            self._end(name)

    @property
    def master(self) -> str:
        """As `spark.master`."""
        return f"k8s://http://127.0.0.1:{self._server.server_port}"

    def running(self) -> list[str]:
        """Names of pods whose process runs."""
        with self._lock:
            return [name for name, process in self._processes.items() if process.poll() is None]

    def kill(self, name: str) -> None:
        """As a node that fails: the pod's processes are gone at once."""
        process = self._processes[name]
        process.kill()
        process.wait()

    def create(self, kind: str, made: dict[str, Any]) -> dict[str, Any]:
        name = made["metadata"]["name"]
        made["metadata"] |= {"uid": f"uid-{name}", "resourceVersion": "1", "creationTimestamp": "2026-01-01T00:00:00Z"}
        with self._lock:
            self._objects.setdefault(kind, {})[name] = made
            if kind == "pods" and made["spec"].get("containers"):
                self.asked.append(made)
                self._processes[name] = self._start(name, made["spec"]["containers"][0])
        return self.read(kind, name) or made

    def read(self, kind: str, name: str) -> dict[str, Any] | None:
        with self._lock:
            found = self._objects.get(kind, {}).get(name)
            if found and kind == "pods":
                found["status"] = self._status(name)
            return found

    def select(self, kind: str, labels: str, field: str) -> list[dict[str, Any]]:
        pairs = [pair.split("=", 1) for pair in labels.split(",") if "=" in pair]
        with self._lock:
            names = list(self._objects.get(kind, {}))
        if field.startswith("metadata.name="):
            names = [name for name in names if name == field.partition("=")[2]]
        found = [item for name in names if (item := self.read(kind, name))]
        return [item for item in found if _has(item["metadata"].get("labels", {}), pairs)]

    def label(self, kind: str, name: str, changes: list[dict[str, Any]]) -> None:
        """A JSON patch, as far as it is about labels."""
        with self._lock:
            for change in changes:
                if change["path"].startswith("/metadata/labels/"):
                    label = change["path"].rpartition("/")[2].replace("~1", "/")
                    self._objects[kind][name]["metadata"]["labels"][label] = change["value"]

    def delete(self, kind: str, name: str) -> None:
        if kind == "pods":
            self._end(name)
        with self._lock:
            self._objects.get(kind, {}).pop(name, None)

    def _status(self, name: str) -> dict[str, Any]:
        process = self._processes.get(name)
        code = process.poll() if process else None  # a pod that Spark did not ask for is the driver's, which runs
        phase = "Running" if code is None else "Succeeded" if code == 0 else "Failed"
        state = (
            {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
            if code is None
            else {"terminated": {"exitCode": code & 0xFF}}
        )
        ready = "True" if code is None else "False"
        return {
            "phase": phase,
            "podIP": "127.0.0.1",
            "startTime": "2026-01-01T00:00:00Z",
            "conditions": [{"type": "Ready", "status": ready}],
            "containerStatuses": [
                {
                    "name": "executor",
                    "state": state,
                    "ready": code is None,
                    "restartCount": 0,
                    "image": "",
                    "imageID": "",
                }
            ],
        }

    def _start(self, name: str, container: dict[str, Any]) -> "subprocess.Popen[bytes]":
        fields = {"status.podIP": "127.0.0.1", "metadata.name": name}
        environment = {
            entry["name"]: fields[entry["valueFrom"]["fieldRef"]["fieldPath"]]
            if "valueFrom" in entry
            else entry.get("value", "")
            for entry in container["env"]
        }
        environment = {key: value for key, value in environment.items() if key != "SPARK_CONF_DIR"}
        local = self.folder / name
        local.mkdir()
        # In a pod these are volumes of its own.
        environment["SPARK_LOCAL_DIRS"] = str(local)
        with (self.folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, str(ENTRYPOINT), *container.get("args", ())],
                env=self._image | environment,
                cwd=local,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _end(self, name: str) -> None:
        process = self._processes.get(name)
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _has(labels: dict[str, str], pairs: list[list[str]]) -> bool:
    """True when each label has its value, or lacks it where a name ends with an exclamation mark."""
    return all((labels.get(name.rstrip("!")) == value) is not name.endswith("!") for name, value in pairs)


class _Handler(BaseHTTPRequestHandler):
    api: KubernetesApi
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        kind, name, query = self._where()
        if query.get("watch") == "true":
            self._watch()
        elif name:
            found = self.api.read(kind, name)
            self._answer(200 if found else 404, found or _status("NotFound", 404))
        else:
            items = self.api.select(kind, query.get("labelSelector", ""), query.get("fieldSelector", ""))
            self._answer(
                200, {"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": items}
            )

    def do_POST(self) -> None:
        kind, _, _ = self._where()
        self._answer(201, self.api.create(kind, self._body()))

    def do_PATCH(self) -> None:
        kind, name, _ = self._where()
        changes = self._body()
        found = self.api.read(kind, name)
        if found and isinstance(changes, list):
            self.api.label(kind, name, changes)
        self._answer(200 if found else 404, found or _status("NotFound", 404))

    def do_DELETE(self) -> None:
        kind, name, query = self._where()
        self._body()
        names = [name] if name else [i["metadata"]["name"] for i in self.api.select(kind, query["labelSelector"], "")]
        for each in names:
            self.api.delete(kind, each)
        self._answer(200, _status("Success", 200))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
        pass

    def _where(self) -> tuple[str, str, dict[str, str]]:
        url = urlsplit(self.path)
        parts = url.path.strip("/").split("/")
        after = parts[parts.index("namespaces") + 2 :] if "namespaces" in parts else parts[2:]
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        return after[0], "/".join(after[1:]), query

    def _body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")

    def _watch(self) -> None:
        """A web socket that is open, and silent: whoever watches also looks now and then."""
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", accept)
        self.end_headers()
        self.close_connection = True
        self.api.closing.wait(600)

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _status(reason: str, code: int) -> dict[str, Any]:
    kind = "Success" if code < 400 else "Failure"
    return {"kind": "Status", "apiVersion": "v1", "status": kind, "reason": reason, "code": code}
