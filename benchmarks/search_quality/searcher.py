"""What is compared: one thin wrapper around each library. Imports nothing of ours, so it loads beside any library."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Generic, TypeVar

Value = bool | int | float | str
Params = dict[str, Value]
SpaceDict = Mapping[str, Mapping[str, Any]]  # as a job file writes a space
Handle = TypeVar("Handle")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """All that a searcher is built from. `evaluations` is the budget, for those that plan with it."""

    space: SpaceDict
    seed: int
    evaluations: int
    name: str = ""  # of the algorithm, where one wrapper serves several


class Searcher(ABC):
    """Asked and told in any order, with any number of configurations pending. Less loss is better."""

    @abstractmethod
    def __init__(self, setup: Setup) -> None:
        """A subclass builds its library's own space and optimiser here."""

    @abstractmethod
    def ask(self) -> Params:
        """The next configuration: active parameters only, Python scalars."""

    @abstractmethod
    def tell(self, params: Params, loss: float) -> None:
        """`params` was asked for, and has ended with `loss`."""

    @abstractmethod
    def learn(self, history: Sequence[tuple[Params, float]]) -> None:
        """Configurations from elsewhere and their losses, at once; called before the first `ask` if at all."""


class Pending(Generic[Handle]):
    """What a library wants back when a configuration has ended, found by the configuration."""

    def __init__(self) -> None:
        self._handles: dict[Hashable, list[Handle]] = {}

    def put(self, params: Params, handle: Handle) -> None:
        """`handle` belongs to a configuration that was asked for."""
        self._handles.setdefault(_key(params), []).append(handle)

    def take(self, params: Params) -> Handle:
        """The oldest handle for `params`, which is then forgotten."""
        key = _key(params)
        handles = self._handles[key]
        handle = handles.pop(0)
        if not handles:
            del self._handles[key]
        return handle

    def all(self) -> list[Handle]:
        """Those of all configurations that are pending."""
        return [handle for handles in self._handles.values() for handle in handles]


def _key(params: Params) -> Hashable:
    return tuple(sorted(params.items()))


def active_part(space: SpaceDict, params: Mapping[str, Value]) -> Params:
    """`params` without those whose conditions do not hold. The space lists parents before their children."""
    kept: Params = {}
    for name, parameter in space.items():
        when = parameter.get("when") or {}
        if all(parent in kept and kept[parent] in allowed for parent, allowed in when.items()):
            kept[name] = params[name]
    return kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One searcher by name. `environment` names the Python environment that its library needs; empty: this one."""

    name: str
    title: str
    module: str
    packages: tuple[str, ...]
    environment: str = ""
    ours: bool = False

    def build(self, setup: Setup) -> Searcher:
        """A fresh searcher, in this process."""
        cls: type[Searcher] = import_module(self.module).SEARCHER
        return cls(setup)

    def versions(self) -> dict[str, str | None]:
        """Of its libraries, as installed here."""
        return {name: _version(name) for name in self.packages}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


_PEERS = "benchmarks.search_quality.peers"
# Cheapest first: an interrupted run has then lost the least.
PEERS = {
    peer.name: peer
    for peer in (
        Contender(name="random", title="random", module=f"{_PEERS}.uniform", packages=("numpy",)),
        Contender(name="hyperopt", title="hyperopt TPE", module=f"{_PEERS}.hyperopt_tpe", packages=("hyperopt",)),
        Contender(name="optuna-tpe", title="Optuna TPE", module=f"{_PEERS}.optuna_tpe", packages=("optuna",)),
        Contender(name="smac", title="SMAC3", module=f"{_PEERS}.smac_hpo", packages=("smac",), environment="smac"),
        Contender(name="optuna-gp", title="Optuna GP", module=f"{_PEERS}.optuna_gp", packages=("optuna", "torch")),
        Contender(name="skopt", title="scikit-optimize GP", module=f"{_PEERS}.skopt_gp", packages=("scikit-optimize",)),
        Contender(name="botorch", title="BoTorch", module=f"{_PEERS}.botorch_nei", packages=("botorch", "torch")),
    )
}
