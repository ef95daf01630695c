"""What the contracts' tests share."""

import pytest
from threadpoolctl import threadpool_limits

from tests.compute.probes import probes
from tests.samples import a_tenant

__all__ = ["one_thread", "probes"]


@pytest.fixture(autouse=True)
def one_thread():
    """Algorithms have one thread for linear algebra in their child processes; several fight on small matrices."""
    with threadpool_limits(1):
        yield


@pytest.fixture
def alice(store):
    return a_tenant(store, "a")


@pytest.fixture
def bob(store):
    return a_tenant(store, "b")
