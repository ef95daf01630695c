"""The web portal: pages on the application that serves REST."""

from tuning_service.portal.app import install

__all__ = ["install"]
