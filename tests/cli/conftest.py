"""The service that these tests talk to."""

from tests.rest_service import driver, service

__all__ = ["driver", "service"]
