"""The contract of a framework manager. Read this first; a new framework is one module beside it, and its tests."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tuning_service.domain.job import JobSpec
from tuning_service.domain.parameters import ParamValue
from tuning_service.domain.trial import Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """A framework's part of a `LaunchPlan`: what to start, with what around it. See there for the fields."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    files: Mapping[str, str] = field(default_factory=dict)
    modules: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()
    values: Mapping[str, ParamValue] = field(default_factory=dict)
    merged: Mapping[str, Mapping[str, ParamValue]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramFiles:
    """A program as a manager looks at it: names of all its files, and the texts of those that it inspects."""

    names: Collection[str]  # relative POSIX paths
    texts: Mapping[str, str] = field(default_factory=dict)  # of names that match `TuningFrameworkMgr.inspects`


class TuningFrameworkMgr(ABC):
    """Knows how programs of one framework are started and how their logs read.

    Stateless; called from any thread of the service. Never imports the framework itself.
    """

    name: ClassVar[str]
    summary: ClassVar[str]  # one line for people who choose a framework
    inspects: ClassVar[tuple[str, ...]] = ()  # shell patterns of the files whose texts the methods below want
    command: ClassVar[str] = ""  # what starts a trial where the job names no command; "": it has to

    @abstractmethod
    def check(self, spec: JobSpec, program: ProgramFiles) -> None:
        """Return quietly when `program` can be started as `spec` says.

        Raises:
            InvalidRequest: naming the field and the remedy.
        """

    def infeasible(self, spec: JobSpec, program: ProgramFiles, params: Mapping[str, ParamValue]) -> str:
        """Why no training of `params` could begin, in one line; "" when one can.

        Asked by the controller for each configuration before it takes a slot; a manager that inspects nothing is not
        asked. Costs milliseconds, raises nothing.
        """
        del spec, program, params
        return ""

    @abstractmethod
    def prepare(self, spec: JobSpec, trial: Trial, gpus: Collection[str]) -> Preparation:
        """What to start for `trial`, on an executor that gives it these GPU addresses. Same input, same answer."""

    @abstractmethod
    def log_parser(self, spec: JobSpec) -> Mapping[str, Any]:
        """The argument for `tuning_service.logs.build_parser` on the executor. JSON-ready."""


_MANAGERS: dict[str, TuningFrameworkMgr] = {}


def framework(cls: type[TuningFrameworkMgr]) -> type[TuningFrameworkMgr]:
    """Class decorator: make it found under its `name`."""
    _MANAGERS[cls.name] = cls()
    return cls


def frameworks() -> Mapping[str, TuningFrameworkMgr]:
    """All framework managers by name."""
    return dict(_MANAGERS)
