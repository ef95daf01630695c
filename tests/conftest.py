"""Fixtures for the whole suite: databases, and a Spark cluster."""

import contextlib
from collections.abc import Iterator

import argon2
import pytest

from tests import databases
from tests.postgres import PostgresServer
from tests.spark_cluster import StandaloneCluster
from tuning_service.manager import passwords
from tuning_service.storage.store import Store


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server for the session, started when the first test asks for it."""
    server = PostgresServer()
    with contextlib.ExitStack() as at_end:
        at_end.callback(server.stop)
        server.start()
        yield server


@pytest.fixture(scope="session")
def postgres_template(postgres: PostgresServer) -> Iterator[str]:
    """The name of a database with the current schema, of which others are copies."""
    with postgres.database() as url:
        databases.migrate(url)
        yield url.rpartition("/")[2]


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """An empty database on PostgreSQL."""
    with postgres.database() as url:
        yield url


@pytest.fixture(scope="session")
def standalone_cluster() -> Iterator[StandaloneCluster]:
    """Two workers of two cores and two made-up GPUs each, shared by all tests of the session."""
    with StandaloneCluster(workers=2, cores=2, gpus=2) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def weak_passwords() -> Iterator[None]:
    """Hashes that take no time: as strong as they are in use, they would take most of a test's."""
    weak = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_hasher", weak)
        patch.setattr(passwords, "_NOBODYS", weak.hash("nobody"))
        yield


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request, tmp_path) -> Iterator[str]:
    """An empty database, on each kind of server that is supported."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'tuning.db'}"
        return
    with request.getfixturevalue("postgres").database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request, tmp_path) -> Iterator[str]:
    """A database with the current schema, on each kind of server that is supported."""
    if request.param == "sqlite":
        yield databases.sqlite_in(tmp_path)
        return
    template = request.getfixturevalue("postgres_template")
    with request.getfixturevalue("postgres").database(template) as url:
        yield url


@pytest.fixture
def store(store_url) -> Iterator[Store]:
    """A store on each kind of database."""
    with contextlib.closing(Store.open(store_url)) as opened:
        yield opened


@pytest.fixture
def sqlite_store(tmp_path) -> Iterator[Store]:
    """A store on SQLite: for tests in which the kind of database does not matter."""
    with contextlib.closing(Store.open(databases.sqlite_in(tmp_path))) as opened:
        yield opened


@pytest.fixture
def postgres_store(postgres, postgres_template) -> Iterator[Store]:
    """A store on PostgreSQL: for tests that ask for the one or the other by name."""
    with postgres.database(postgres_template) as url, contextlib.closing(Store.open(url)) as opened:
        yield opened
