"""The contract of a search algorithm. Read this first; each algorithm is one module beside it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict

from tuning_service.domain.job import Objective
from tuning_service.domain.space import ParamValue, Space
from tuning_service.domain.trial import Observation, Suggestion


class Options(BaseModel):
    """An algorithm's options: a subclass with a default, bounds and a description for each. Unknown ones are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingTrial:
    """A trial that was suggested and has not ended."""

    number: int
    params: Mapping[str, ParamValue]


class HPTAlgorithm(ABC):
    """Proposes configurations for one job.

    Lives in a child process, in one thread. Order of calls: the constructor, then any mix of `observe` and `suggest`.
    It is a function of space, history and seed: a fresh one that is shown the same observations in the same order,
    in however many calls, and is asked with the same pending trials, suggests the same. It never sees a database, a
    clock or a tenant.
    """

    name: ClassVar[str]
    summary: ClassVar[str]  # one line for people who choose an algorithm
    options_type: ClassVar[type[Options]]

    def __init__(self, space: Space, objective: Objective, options: Options, seed: int) -> None:
        """`seed` is any non-negative integer below 2**63."""
        self.space = space
        self.objective = objective
        self.options = options
        self.seed = seed

    def observe(self, observations: Sequence[Observation]) -> None:
        """Take note of trials that have ended, failures (loss None) included; each is shown once."""
        self._observe(observations)

    def suggest(self, count: int, pending: Sequence[PendingTrial]) -> list[Suggestion]:
        """`count` new configurations, or fewer when the space is exhausted.

        Each is valid in the space, holds exactly its active parameters, and repeats neither one another nor a
        pending or observed trial while untried ones remain.
        """
        if count < 1:
            raise ValueError(f"count must be at least 1, not {count}")
        return self._suggest(count, pending)

    @abstractmethod
    def _observe(self, observations: Sequence[Observation]) -> None: ...

    @abstractmethod
    def _suggest(self, count: int, pending: Sequence[PendingTrial]) -> list[Suggestion]: ...


_ALGORITHMS: dict[str, type[HPTAlgorithm]] = {}
_Algorithm = TypeVar("_Algorithm", bound=type[HPTAlgorithm])


def algorithm(name: str, *, summary: str, options: type[Options]) -> Callable[[_Algorithm], _Algorithm]:
    """Class decorator: make an `HPTAlgorithm` found under `name`."""

    def register(cls: _Algorithm) -> _Algorithm:
        cls.name, cls.summary, cls.options_type = name, summary, options
        _ALGORITHMS[name] = cls
        return cls

    return register


def algorithms() -> Mapping[str, type[HPTAlgorithm]]:
    """All registered algorithms by name."""
    return dict(_ALGORITHMS)
