"""What a job file may name: the search algorithms and the frameworks."""

from typing import Any

from tuning_service.frameworks.base import frameworks
from tuning_service.search.options import describe


def algorithm_catalogue() -> list[dict[str, Any]]:
    """Name, summary and options (as JSON schema) of each algorithm, by name."""
    return describe()


def framework_catalogue() -> list[dict[str, str]]:
    """Name and summary of each framework, by name."""
    return [{"name": name, "summary": manager.summary} for name, manager in sorted(frameworks().items())]
