"""The service that these tests talk to."""

import io
import logging
from collections.abc import Iterator

import pytest
import structlog

from tests.rest_service import driver, service
from tuning_service import observability

__all__ = ["driver", "service"]


@pytest.fixture(autouse=True)
def _logs_elsewhere() -> Iterator[None]:
    """The service lives in this process: its log must not end up in what a command has printed."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    observability.configure(stream=io.StringIO())
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
