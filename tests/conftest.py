from collections.abc import Iterator

import pytest

from tests.spark_cluster import StandaloneCluster


@pytest.fixture(scope="session")
def standalone_cluster() -> Iterator[StandaloneCluster]:
    """Two workers of two cores and two made-up GPUs each, shared by all tests of the session."""
    with StandaloneCluster(workers=2, cores=2, gpus=2) as cluster:
        yield cluster
