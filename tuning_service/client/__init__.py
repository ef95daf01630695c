"""A thin client of the REST interface, for notebooks and for the command line."""

from tuning_service.client.client import TuningClient
from tuning_service.client.errors import BadJobFile, ServiceUnreachable, TuningApiError

__all__ = ["BadJobFile", "ServiceUnreachable", "TuningApiError", "TuningClient"]
