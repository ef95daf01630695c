"""What is wrong with a plug-in."""

from tuning_service.domain.errors import TuningError


class BadPlugin(TuningError):
    """The plug-in cannot be used. The message is for its author."""
