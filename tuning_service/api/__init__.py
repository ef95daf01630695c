"""The REST interface. Calls the manager floor with a principal, and nothing below it."""

from tuning_service.api.app import create_app

__all__ = ["create_app"]
