"""Controllers that look often, and all that they work on."""

import pytest

from tests.control.house import House, PlainFramework
from tuning_service.control import job_ctrl, reconciler, standing
from tuning_service.frameworks import base as frameworks
from tuning_service.search.host import AlgorithmHost


@pytest.fixture(scope="module")
def algorithms():
    host = AlgorithmHost(children=1, timeout_s=30.0)
    yield host
    host.close()


@pytest.fixture
def often(monkeypatch):
    """Controllers look at everything, and tell of it, several times a second; the framework 'plain' is there."""
    monkeypatch.setitem(frameworks._MANAGERS, "plain", PlainFramework())
    monkeypatch.setattr(job_ctrl, "_POLL_S", 0.05)
    monkeypatch.setattr(reconciler, "_LOOK_S", 0.05)
    monkeypatch.setattr(reconciler, "_WORD_S", 0.2)
    monkeypatch.setattr(standing, "_TENANT_S", 0.05)


@pytest.fixture
def house(request, tmp_path, algorithms, often):
    """On SQLite, unless a test asks for another store."""
    store = request.getfixturevalue(getattr(request, "param", "sqlite_store"))
    with House(store, tmp_path, algorithms) as made:
        yield made
