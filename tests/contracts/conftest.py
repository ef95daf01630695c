"""What the contracts' tests share."""

import pytest
from threadpoolctl import threadpool_limits

from tests.compute.probes import probes

__all__ = ["one_thread", "probes"]


@pytest.fixture(autouse=True)
def one_thread():
    """Algorithms have one thread for linear algebra in their child processes; several fight on small matrices."""
    with threadpool_limits(1):
        yield
