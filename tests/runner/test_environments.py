"""A program's environment: real venvs and real pip, with packages that the tests make, and no network."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import zipfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.machine import command_of, with_mark
from tests.runner.conftest import Room
from tests.waiting import wait_for
from tuning_service.domain.state import Decision, TaskStatus
from tuning_service.domain.trial import FaultKind
from tuning_service.runner import packed
from tuning_service.runner.environments import EnvironmentCache, EnvironmentFault
from tuning_service.runner.requirements import Requirements

ROOT = Path(__file__).parents[2]
# What it has of its own, what it sees of the executor's Python, and where it is.
CODE = "import sys, greeting, pytest; print(f'loss={greeting.VALUE}'); print('home', sys.prefix)"
REQUIREMENTS = {"interpreter": {"requirements": "requirements.txt"}}
RUNNER = """
import json, sys
from tuning_service.runner.protocol import TaskTicket
from tuning_service.runner.run import run_ticket
run_ticket(TaskTicket(**json.loads(sys.argv[1])), 0, ())
"""


def wheel(folder, name="greeting", version="1.0", value=0.5):
    folder.mkdir(exist_ok=True)
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}.py", f"VALUE = {value}\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/entry_points.txt", f"[console_scripts]\n{name}={name}:main\n")
        archive.writestr(f"{info}/RECORD", "")


@pytest.fixture
def run(room, run):
    """Runs a program to its end, as if no other had been run before; the outcome."""

    def alone(code, **plan):
        room.reports.clear()
        room.bodies.clear()  # by which a report that came twice is told
        return run(code, **plan)

    return alone


@pytest.fixture(autouse=True)
def wheels(tmp_path, monkeypatch):
    """The deployment's settings of pip: packages come from a folder that is made here."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "wheels"
    wheel(folder)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """The interpreter of an environment without any package."""
    home = tmp_path_factory.mktemp("bare") / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    return home / "bin" / "python"


def requiring(text, **more):
    return {**REQUIREMENTS, "files": {"requirements.txt": text, **more}}


def homes(room):
    return [line.split()[1] for line in room.log.splitlines() if line.startswith("home ")]


def environment_fault(outcome):
    assert (outcome.status, outcome.fault) == (TaskStatus.LOST, FaultKind.ENVIRONMENT), outcome
    assert "\n" not in outcome.reason
    return outcome


@contextmanager
def server(answer):
    """A web server whose handler is `answer(handler)`; its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            answer(self)

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_):
            pass

    running = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{running.server_port}"
    finally:
        running.shutdown()
        running.server_close()
        thread.join()


@contextmanager
def silent_index(monkeypatch):
    """pip asks an index that never answers. Yields an event that is set once it has asked."""
    asked, over = threading.Event(), threading.Event()

    def answer(_):
        asked.set()
        over.wait()

    with server(answer) as url, monkeypatch.context() as patched:
        patched.delenv("PIP_NO_INDEX")
        patched.setenv("PIP_INDEX_URL", url)
        try:
            yield asked
        finally:
            over.set()


# -- requirements


def test_requirements_are_installed_once_behind_which_the_executors_packages_are_seen(run, room, work):
    outcome = run(CODE, **requiring("greeting"))
    assert (outcome.status, outcome.reason) == (TaskStatus.SUCCEEDED, ""), room.log
    assert ("loss", 0, 0.5) in room.measurements
    assert room.log.startswith("tuning-service: its Python environment is being made on ")
    [home] = homes(room)
    assert Path(home).is_relative_to(work)
    # A script of the environment's names an interpreter that is there.
    assert f"{home}/bin/python" in (Path(home) / "bin" / "greeting").read_text()
    code = f"{CODE}; import shutil; print(shutil.which('greeting'), shutil.which('python'))"
    assert run(code, **requiring("greeting")).status is TaskStatus.SUCCEEDED
    assert homes(room) == [home]
    assert room.log.splitlines()[-1] == f"{home}/bin/greeting {home}/bin/python"


def test_other_requirements_are_another_environment(run, room, wheels):
    run(CODE, **requiring("greeting"))
    [first] = homes(room)
    wheel(wheels, version="2.0", value=0.25)
    assert run(CODE, **requiring("greeting==2.0")).status is TaskStatus.SUCCEEDED
    assert ("loss", 0, 0.25) in room.measurements
    assert homes(room) != [first]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nosuchpackage==1.0", "No matching distribution found for nosuchpackage==1.0"),
        ('print "hello"', "Invalid requirement"),
        ("greeting==7", "No matching distribution found for greeting==7"),
        ("-e .", "so write the path without -e"),
        ("-r ../other.txt", "leads out of the program's folder"),
        ("-r requirements.txt", "requirements.txt includes itself"),
        ("\0((( \n==", "Invalid requirement"),
        ("-r absent.txt", "absent.txt cannot be read from the program"),
    ],
)
def test_requirements_that_cannot_be_met_are_a_fault_of_the_environment(run, text, said):
    outcome = environment_fault(run(CODE, **requiring(text)))
    assert said in f"{outcome.reason}\n{outcome.explanation}"
    assert said in outcome.reason or outcome.reason.startswith("pip install -r requirements.txt failed on ")


def test_a_failed_build_is_remembered_for_a_while_and_then_tried_again(run, wheels, work):
    first = environment_fault(run(CODE, **requiring("late")))
    assert "No matching distribution found for late" in first.explanation
    wheel(wheels, "late")
    again = environment_fault(run(CODE, **requiring("late")))
    assert again.reason.startswith(f"{first.reason} (")
    assert again.reason.endswith(" s ago)")
    assert again.explanation == first.explanation
    [memory] = work.glob("environments/*/failed")
    memory.write_text(json.dumps({**json.loads(memory.read_text()), "at": 0}))
    assert run(CODE, **requiring("late\ngreeting")).status is TaskStatus.SUCCEEDED
    assert run("import late; print(f'loss={late.VALUE}')", **requiring("late")).status is TaskStatus.SUCCEEDED


def test_without_a_network_pips_own_words_say_so(run, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{nobody.getsockname()[1]}/simple")
        monkeypatch.setenv("PIP_RETRIES", "1")
        outcome = environment_fault(run(CODE, **requiring("nosuchpackage")))
    assert "nosuchpackage" in outcome.reason
    assert "Connection refused" in outcome.explanation or "Failed to establish" in outcome.explanation


def test_heartbeats_go_on_and_a_stop_is_obeyed_while_pip_waits(run, room, work, monkeypatch):
    mark = os.urandom(8).hex()
    with silent_index(monkeypatch) as asked:
        monkeypatch.setenv("UNDER_TEST", mark)

        def stop_after_some_heartbeats(method, path, body):
            if path.endswith("/report") and asked.is_set() and len(room.reports) >= 3:
                room.decision = Decision.STOP

        room.trouble = stop_after_some_heartbeats
        outcome = run(CODE, **requiring("nosuchpackage"), heartbeat_s=0.1)
    assert outcome.status is TaskStatus.STOPPED
    assert b"pip" not in b"".join(command_of(pid) for pid in with_mark(mark))
    assert list(work.glob("environments/*/b-*")) == []
    assert list(work.glob("environments/*/failed")) == []


def start_runner(ticket, mark):
    return subprocess.Popen(
        [sys.executable, "-c", RUNNER, json.dumps({"task_id": "task_1", "token": "tok_1", "service_url": ticket.url})],
        env=os.environ | {"PYTHONPATH": str(ROOT), "UNDER_TEST": mark},
    )


def test_two_runners_that_need_the_same_make_it_once(room, prepare):
    prepare(CODE, **requiring("greeting"))
    other = Room()
    other.plan, other.program = room.plan, room.program
    try:
        runners = [start_runner(each, "race") for each in (room, other)]
        assert [runner.wait(60) for runner in runners] == [0, 0]
    finally:
        other.close()
    assert room.outcome.status is other.outcome.status is TaskStatus.SUCCEEDED
    assert homes(room) == homes(other)


def test_a_builder_that_is_killed_leaves_nothing_that_runs_or_looks_finished(room, prepare, run, work, monkeypatch):
    mark = os.urandom(8).hex()
    with silent_index(monkeypatch) as asked:
        prepare(CODE, **requiring("greeting\nlate"))
        runner = start_runner(room, mark)
        assert asked.wait(60)
        [left] = work.glob("environments/*/b-*")
        os.kill(runner.pid, signal.SIGKILL)
        runner.wait()
        wait_for(lambda: not with_mark(mark), within_s=10)
    assert list(work.glob("environments/*/current")) == []
    wheel(Path(os.environ["PIP_FIND_LINKS"]), "late")
    assert run(CODE, **requiring("greeting\nlate")).status is TaskStatus.SUCCEEDED
    assert homes(room) != [str(left)]
    assert not left.exists()


def test_what_is_installed_from_the_programs_folder_belongs_to_that_program(tmp_path):
    def key(text, digest, **files):
        for name, content in {"requirements.txt": text, **files}.items():
            path = tmp_path / name.replace("_txt", ".txt")
            path.parent.mkdir(exist_ok=True)
            path.write_text(content)
        return Requirements(tmp_path, "requirements.txt", digest).key

    assert key("greeting", "a") == key("greeting", "b")
    assert key("./lib", "a") != key("./lib", "b")
    assert key("lib @ file:lib", "a") != key("lib @ file:lib", "b")
    for text in ("-r base.txt", "-rbase.txt", "--requirement=base.txt"):
        assert key(text, "a", base_txt="greeting") != key(text, "a", base_txt="greeting==2")
        assert key(text, "a", base_txt="greeting") == key(text, "b", base_txt="greeting")
    for encoding in ("utf-8-sig", "utf-16"):
        keys = set()
        for content in ("greeting", "greeting==2"):
            (tmp_path / "requirements.txt").write_text("-r base.txt\n", encoding=encoding)
            (tmp_path / "base.txt").write_text(content)
            keys.add(Requirements(tmp_path, "requirements.txt", "a").key)
        assert len(keys) == 2, encoding
    there = {"libs/setup.py": "", "wheels/greeting-1.0-py3-none-any.whl": "", "other-1.0.tar.gz": ""}
    for text in (
        "libs[all]; python_version > '3'",
        "-f wheels",
        "--find-links=wheels",
        "other-1.0.tar.gz",
        "-r more/r.txt",
    ):
        assert key(text, "a", **there, **{"more/r.txt": "other-1.0.tar.gz"}) != key(text, "b"), text
    assert key("greeting # libs", "a") == key("greeting # libs", "b")


# -- the cache


def test_what_was_not_used_for_longest_goes_first_and_never_what_is_in_use(tmp_path):
    def make(home):
        (home / "python").write_bytes(b"x" * 1000)
        return home / "python"

    cache = EnvironmentCache(tmp_path, 2500, lambda: None)

    def there():
        return {path.parent.name for path in tmp_path.glob("*/current")}

    with cache.use("a", make):
        for number, key in enumerate("bc"):
            with cache.use(key, make):
                os.utime(tmp_path / key / "current", (100 + number, 100 + number))
            os.utime(tmp_path / "a" / "current", (50, 50))
        assert there() == {"a", "c"}
        assert list(tmp_path.glob("b/b-*")) == []
    with cache.use("d", make):
        assert there() == {"c", "d"}
    with cache.use("c", lambda _: pytest.fail("is there already")):
        pass


def test_an_environment_whose_interpreter_was_cleaned_away_is_made_anew(tmp_path):
    made = []

    def make(home):
        made.append(home)
        (home / "python").write_text("x")
        return home / "python"

    cache = EnvironmentCache(tmp_path, 10**6, lambda: None)
    with cache.use("a", make) as first:
        pass
    first.python.unlink()
    with cache.use("a", make) as second:
        assert second.python.exists()
    assert len(made) == 2
    assert not first.home.exists()


# -- environments that the deployment names, and what they lack


def test_a_named_environment_runs_the_program(run, room, bare, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "tests"))
    code = (
        "import sys, os; print('loss=1'); print(sys.prefix, os.environ['PATH']); print(os.environ.get('VIRTUAL_ENV'))"
    )
    outcome = run(code, interpreter={"name": "bare", "python": str(bare)})
    assert outcome.status is TaskStatus.SUCCEEDED
    home = str(bare.parents[1])
    assert room.log.splitlines()[1].startswith(f"{home} {home}/bin:")
    assert room.log.splitlines()[2] == home


@pytest.mark.parametrize(
    ("interpreter", "said"),
    [
        ({"name": "gone", "python": ""}, "the deployment has no environment 'gone' any more"),
        ({"name": "tf", "python": "/opt/absent/bin/python"}, "there is no /opt/absent/bin/python to run"),
        ({"name": "tf", "python": __file__}, f"there is no {__file__} to run"),
    ],
)
def test_a_named_environment_that_is_not_there_is_said(run, interpreter, said):
    assert said in environment_fault(run("print('loss=1')", interpreter=interpreter)).reason


def test_modules_that_the_interpreter_lacks_are_found_before_the_start(run, room, bare):
    plan = {"interpreter": {"name": "bare", "python": str(bare)}, "modules": ("json", "tensorflow")}
    outcome = environment_fault(run("print('loss=1')", **plan))
    assert outcome.reason.startswith(f"{bare} on {socket.gethostname()} has no tensorflow: install it there, or give")
    assert room.log == ""
    several = environment_fault(run("print('loss=1')", **plan | {"modules": ("torch", "numpy", "google")}))
    assert "has no torch, numpy and protobuf: install" in several.reason
    # A program may bring its own.
    assert run("print('loss=1')", **plan, files={"tensorflow.py": ""}).status is TaskStatus.SUCCEEDED
    assert run("print('loss=1')", **plan | {"modules": ("json",)}).status is TaskStatus.SUCCEEDED


@pytest.mark.parametrize(
    ("code", "status", "fault"),
    [
        ("import torch", TaskStatus.LOST, FaultKind.ENVIRONMENT),
        ("import helpers", TaskStatus.FAILED, FaultKind.PROGRAM),
        ("print('loss=1')", TaskStatus.SUCCEEDED, FaultKind.NONE),
    ],
)
def test_a_program_that_ends_for_want_of_its_framework_has_not_failed(run, bare, code, status, fault):
    outcome = run(code, interpreter={"name": "bare", "python": str(bare)}, imports=("torch",))
    assert (outcome.status, outcome.fault) == (status, fault)
    assert ("has no torch" in outcome.reason) == (fault is FaultKind.ENVIRONMENT)


# -- packed environments


def pack(bare, path, **scripts):
    with tarfile.open(path, "w:gz") as archive:
        archive.add(bare.parents[1], ".")
        for name, text in scripts.items():
            script = path.with_name(name)
            script.write_text(text)
            archive.add(script, f"bin/{name.replace('_', '-')}")
    return path


def test_a_packed_environment_is_unpacked_once_and_mended_where_it_lies(run, room, bare, tmp_path, work, monkeypatch):
    monkeypatch.setenv("PYTHONHOME", "/of/the/executor")
    mend = "import pathlib, sys; (pathlib.Path(sys.prefix) / 'mended').write_text(sys.prefix)"
    url = pack(bare, tmp_path / "env.tar.gz", conda_unpack=mend).as_uri()
    code = "import sys; print('loss=1'); print('home', sys.prefix); print(open(sys.prefix + '/mended').read())"
    found = []
    for _ in range(2):
        outcome = run(code, interpreter={"archive": url})
        assert outcome.status is TaskStatus.SUCCEEDED, room.log
        found += homes(room)
        assert room.log.splitlines()[-1] == found[-1]
    assert found[0] == found[1]
    assert Path(found[0]).is_relative_to(work)


def test_a_packed_environment_is_fetched_again_when_the_server_has_another(run, room, bare, tmp_path):
    data, tags = pack(bare, tmp_path / "env.tar.gz").read_bytes(), ["one"]

    def answer(handler):
        handler.send_response(200)
        handler.send_header("ETag", tags[-1])
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    with server(answer) as url:
        plan = {"interpreter": {"archive": f"{url}/env.tar.gz"}}
        code = "import sys; print('loss=1'); print('home', sys.prefix)"
        found = []
        for tag in ("one", "one", "two"):
            packed._looked_up.clear()  # as a minute later
            tags.append(tag)
            assert run(code, **plan).status is TaskStatus.SUCCEEDED
            found += homes(room)
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "could not be fetched: "),
        (b"no archive", "is no tar archive that can be unpacked"),
        ("empty", "has no bin/python in it"),
        ("foreign", "has a Python that does not run here"),
        ("mend", "does not work here: conda-unpack ended with 3"),
        ({"path": "bin/py\0thon"}, "is no tar archive that can be unpacked"),
        ({"mtime": "1e400"}, "is no tar archive that can be unpacked"),
        ({"path": "x" * 300}, "has a file that cannot be unpacked here: File name too long"),
        ({"path": "../../python"}, "is no tar archive that can be unpacked"),
    ],
)
def test_a_packed_environment_that_cannot_be_used_says_why(run, bare, tmp_path, content, said):
    path = tmp_path / "env.tar.gz"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "mend":
        pack(bare, path, conda_unpack="raise SystemExit(3)")
    elif isinstance(content, dict):
        with tarfile.open(path, "w:gz") as archive:
            file = tarfile.TarInfo("bin/python")
            file.pax_headers = content
            archive.addfile(file)
    elif content is not None:
        with tarfile.open(path, "w:gz") as archive:
            link = tarfile.TarInfo("bin/python" if content == "foreign" else "bin/other")
            link.type, link.linkname = tarfile.SYMTYPE, "/nowhere/python3.9"
            archive.addfile(link)
    outcome = environment_fault(run("print('loss=1')", interpreter={"archive": path.as_uri()}))
    assert said in outcome.reason


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("TUNING_ENVIRONMENTS_BYTES", "1000000", "takes more than the 1,000,000 bytes of TUNING_ENVIRONMENTS_BYTES"),
        ("TUNING_INSTALL_S", "0.5", "does not work here: its Python did not end by itself"),
        ("TUNING_INSTALL_S", "0", "was not fetched and unpacked within 0 s"),
    ],
)
def test_a_packed_environment_is_bounded_in_size_and_time(run, tmp_path, monkeypatch, name, value, said):
    monkeypatch.setenv(name, value)
    path = tmp_path / "env.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for member, data in (
            ("bin/python", b"#!/bin/sh\nsleep 1000\n"),
            ("large", b"0" * (2_000_000 if "BYTES" in name else 1)),
        ):
            file = tarfile.TarInfo(member)
            file.size, file.mode = len(data), 0o755
            archive.addfile(file, io.BytesIO(data))
    outcome = environment_fault(run("print('loss=1')", interpreter={"archive": path.as_uri()}))
    assert said in outcome.reason


def test_passwords_of_an_address_are_not_shown(run):
    with server(lambda handler: handler.send_error(403)) as url:
        address = url.replace("http://", "http://me:secret@") + "/env.tar.gz?signature=secret"
        outcome = environment_fault(run("print('loss=1')", interpreter={"archive": address}))
    assert "could not be fetched" in outcome.reason
    assert "secret" not in f"{outcome.reason} {outcome.explanation}"


def test_a_fault_in_one_thread_is_the_same_fault_in_the_one_that_waits(tmp_path):
    begun, go_on, faults = threading.Event(), threading.Event(), []

    def make(_):
        begun.set()
        go_on.wait(10)
        raise EnvironmentFault("no such package", "pip said so")

    def use():
        try:
            with EnvironmentCache(tmp_path, 10**6, lambda: None).use("a", make):
                pass
        except EnvironmentFault as error:
            faults.append((str(error)[:15], error.explanation))

    threads = [threading.Thread(target=use) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert begun.wait(10)
    go_on.set()
    for thread in threads:
        thread.join()
    assert faults == [("no such package", "pip said so")] * 3


def test_whoever_waits_for_an_environment_obeys_a_stop(tmp_path):
    class Stopped(Exception):
        pass

    begun, go_on, beats = threading.Event(), threading.Event(), []

    def make(home):
        begun.set()
        go_on.wait(10)
        (home / "python").write_text("x")
        return home / "python"

    def make_it():
        with EnvironmentCache(tmp_path, 10**6, lambda: None).use("a", make):
            pass

    def beat():
        beats.append(1)
        if len(beats) == 3:
            raise Stopped

    maker = threading.Thread(target=make_it)
    maker.start()
    try:
        assert begun.wait(10)
        with pytest.raises(Stopped), EnvironmentCache(tmp_path, 10**6, beat).use("a", make):
            pytest.fail("it is not made yet")
    finally:
        go_on.set()
        maker.join()
    with EnvironmentCache(tmp_path, 10**6, lambda: None).use("a", make) as made:
        assert made.python.exists()
