"""The service's side of the runner's protocol, over real HTTP, with its misbehaviour."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import pytest

from tuning_service.domain.state import Decision
from tuning_service.domain.trial import LaunchPlan
from tuning_service.runner import service, training
from tuning_service.runner.bundle import pack
from tuning_service.runner.protocol import Report, TaskTicket, plan_to_json
from tuning_service.runner.run import run_ticket

TOKEN = "tok_1"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.answer("GET", b"")

    def do_POST(self):
        self.answer("POST", self.rfile.read(int(self.headers["Content-Length"])))

    def do_PUT(self):
        self.answer("PUT", self.rfile.read(int(self.headers["Content-Length"])))

    def answer(self, method, body):
        status, data = self.server.room.handle(method, self.path, self.headers, body)
        if status is None:  # as when the service was killed
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass


class Room:
    """One task, its plan, and what its runner said."""

    def __init__(self):
        self.plan = None
        self.program = b""
        self.requests = []  # (method, path) of all, refused ones too
        self.claims = []
        self.reports = []  # each once
        self.bodies = []
        self.artifacts = {}  # content by path
        self.room_left = {"bytes": 2**20, "files": 1000, "why": "the limit of a trial is 1 MiB"}
        self.decision = Decision.CONTINUE
        self.trouble = lambda method, path, body: None  # a (status, data) instead of the proper answer
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.room = self
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()
        self.lock = threading.Lock()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def handle(self, method, path, headers, body):
        with self.lock:
            self.requests.append((method, path))
            trouble = self.trouble(method, path, body)
            if trouble is not None:
                return trouble
            assert path.startswith("/v1/tasks/task_")
            if headers["Authorization"] != f"Bearer {self.plan.token if 'claim' not in path else TOKEN}":
                return 401, b"{}"
            if path.endswith("/claim"):
                self.claims.append(json.loads(body))
                return 200, json.dumps(plan_to_json(self.plan)).encode()
            if "/artifacts" in path:
                return self.take_artifact(method, path, body)
            if path.endswith("/program"):
                return 200, self.program
            if body not in self.bodies or not Report.from_json(json.loads(body)).log:
                self.reports.append(Report.from_json(json.loads(body)))
            self.bodies.append(body)
            return 200, json.dumps({"decision": str(self.decision)}).encode()

    def take_artifact(self, method, path, body):
        if method == "GET":
            return 200, json.dumps(self.room_left).encode()
        self.artifacts[unquote(path.partition("/artifacts/")[2])] = body
        return 200, b"{}"

    @property
    def outcome(self):
        return self.reports[-1].outcome

    @property
    def log(self):
        """The log as the service would have stored it."""
        stored = b""
        for report in self.reports:
            assert report.log_offset == len(stored)
            stored += report.log.encode()
        return stored.decode()

    @property
    def measurements(self):
        return [(m.metric, m.step, m.value) for report in self.reports for m in report.measurements]

    def ticket(self):
        return TaskTicket(task_id="task_1", token=TOKEN, service_url=self.url)


@pytest.fixture
def room():
    room = Room()
    yield room
    service.close_idle()
    training.close_idle()
    room.close()


@pytest.fixture
def work(tmp_path, monkeypatch):
    """The executor's work folder."""
    folder = tmp_path / "work"
    monkeypatch.setenv("TUNING_WORK_DIR", str(folder))
    return folder


@pytest.fixture
def prepare(room, tmp_path, work):
    """Gives the room a program and a plan for it."""

    def prepare(code, *, argv=("python", "train.py"), metric="loss", files=None, **plan):
        folder = tmp_path / "program"
        folder.mkdir(exist_ok=True)
        (folder / "train.py").write_text(code)
        room.program = pack(folder)
        room.plan = LaunchPlan(
            **{
                "task_id": "task_1",
                "token": TOKEN,
                "program": hashlib.sha256(room.program).hexdigest(),
                "argv": argv,
                "environment": {},
                "files": files or {},
                "parser": {"formats": ["json", "pairs"], "patterns": [], "metrics": [metric]},
                "required": (metric,),
            }
            | plan
        )

    return prepare


@pytest.fixture
def run(room, prepare, work):
    """Runs a program to its end; the outcome."""

    def run(code, *, attempt=0, gpus=(), **plan):
        prepare(code, **plan)
        run_ticket(room.ticket(), attempt, gpus)
        assert not list(work.glob("task-*"))
        return room.outcome

    return run
