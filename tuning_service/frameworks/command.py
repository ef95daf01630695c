"""Programs of any kind."""

from typing import ClassVar

from tuning_service.frameworks.base import framework
from tuning_service.frameworks.program import ProgramManager


@framework
class CommandManager(ProgramManager):
    """A program in whatever language, as long as it prints its objective."""

    name: ClassVar[str] = "command"
    summary: ClassVar[str] = "any program; metrics from JSON lines and name=value prints"
