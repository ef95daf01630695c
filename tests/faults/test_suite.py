"""The fault suite itself: its plan, its network, and a short run of it. `make test-faults` runs all of it."""

import contextlib
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.faults.faults import plan
from tests.faults.forwarder import Forwarder
from tests.faults.network import Namespace, namespaces_work
from tests.faults.suite import Suite


def test_a_plan_is_the_same_for_the_same_seed_and_has_every_kind():
    first = plan(7, 100)
    assert first == plan(7, 100)
    assert first != plan(8, 100)
    assert len(first) == 100
    assert len({fault.kind for fault in first[:30]}) == len({fault.kind for fault in first})


@pytest.fixture
def echo():
    with echoing("127.0.0.1") as port:
        yield port


@contextlib.contextmanager
def echoing(host):
    """The port of a server that sends back what it gets."""
    with socket.create_server((host, 0)) as server:

        def answer(connection):
            with connection:
                while data := connection.recv(1000):
                    connection.sendall(data)

        def serve():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize("how", ["silent", "deaf"])
def test_what_a_cut_holds_back_arrives_when_the_network_is_well_again(echo, how):
    with Forwarder([1, echo]) as forwarder, socket.create_connection(("127.0.0.1", forwarder.port), 10) as client:
        client.sendall(b"one")
        assert client.recv(10) == b"one"
        forwarder.cut(how)
        client.sendall(b"two")
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(10)
        forwarder.cut("")
        client.settimeout(10)
        assert client.recv(10) == b"two"


def test_a_network_that_refuses_ends_connections_and_takes_none(echo):
    with Forwarder([echo]) as forwarder, socket.create_connection(("127.0.0.1", forwarder.port), 10) as client:
        client.sendall(b"one")
        assert client.recv(10) == b"one"
        forwarder.cut("refuse")
        assert _is_ended(client)
        with socket.create_connection(("127.0.0.1", forwarder.port), 10) as another:
            assert _is_ended(another)
        forwarder.cut("")
        with socket.create_connection(("127.0.0.1", forwarder.port), 10) as third:
            third.sendall(b"three")
            assert third.recv(10) == b"three"


def _is_ended(client: socket.socket) -> bool:
    try:
        return client.recv(10) == b""
    except ConnectionError:
        return True


_DIAL = """
import socket, sys
with socket.socket() as client:
    client.settimeout(1.5)
    client.connect((sys.argv[1], int(sys.argv[2])))
    client.sendall(b"one")
    assert client.recv(10) == b"one"
"""


def test_a_cut_of_a_namespace_is_of_one_of_its_two_links_and_is_mended():
    if not namespaces_work():
        pytest.skip("takes root, ip and nsenter")
    with Namespace() as made, contextlib.ExitStack() as stack:
        ports = {link.host: stack.enter_context(echoing(link.host)) for link in (made.spark, made.service)}

        def answered(link):
            command = [*made.command, sys.executable, "-I", "-S", "-c", _DIAL, link.host, str(ports[link.host])]
            return subprocess.run(command, capture_output=True).returncode == 0

        assert answered(made.spark)
        assert answered(made.service)
        for how in ("silent", "deaf", "refuse"):
            made.cut(how)
            assert not answered(made.service), how
        assert answered(made.spark)
        made.cut("spark")
        assert not answered(made.spark)
        made.cut("")
        assert answered(made.spark)
        assert answered(made.service)


@pytest.mark.heavy
@pytest.mark.spark
@pytest.mark.timeout(900)
def test_a_few_faults_lose_nothing(tmp_path: Path):
    kinds = ["kill manager", "kill controller", "kill executor", "kill database", "cut deaf"]
    faults = plan(3, len(kinds), kinds)
    report = Suite(tmp_path, faults, seed=3, trials=4, deadline=time.monotonic() + 400).run()
    assert report["problems"] == []
    assert all(fault["happened"] for fault in report["faults"])
