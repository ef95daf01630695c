"""The contract of a search algorithm. Read this first; each algorithm is one module beside it."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

from tuning_service.domain.job import MetricConstraint, Objective
from tuning_service.domain.parameters import ParamValue
from tuning_service.domain.space import Space
from tuning_service.domain.trial import Observation, Recommendation, Suggestion

if TYPE_CHECKING:  # numpy stays out of processes that only look up names and options
    import numpy as np

# How often an algorithm that repeats itself is asked again, and then how many random draws each missing one gets.
_ATTEMPTS = 3
_DRAWS = 50


class Options(BaseModel):
    """An algorithm's options: a subclass with a default, bounds and a description for each. Unknown ones are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_bool(cls, value: Any, info: ValidationInfo) -> Any:
        """JSON's true is no number."""
        if isinstance(value, bool) and _is_number(cls.model_fields[info.field_name or ""].annotation):
            raise ValueError("should be a number")  # pydantic reports ValueErrors
        return value


def _is_number(annotation: Any) -> bool:
    """True of an option that takes numbers, whether any or listed ones, and neither true nor false."""
    kinds = {part if isinstance(part, type) else type(part) for part in get_args(annotation) or (annotation,)}
    return bool(kinds & {int, float}) and bool not in kinds


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

    An algorithm implements `_observe` and `_suggest` and imports its library inside its methods, so that the registry
    is cheap to load. `suggest` keeps it from repeating trials. Helpers: `transform` (the space as a unit cube),
    `next_number` and `rng`.
    """

    name: ClassVar[str]
    summary: ClassVar[str]  # one line for people who choose an algorithm
    options_type: ClassVar[type[Options]]
    # What it can take into account. Whoever proposes without looking at losses can say 4 and True.
    most_objectives: ClassVar[int] = 1
    takes_constraints: ClassVar[bool] = False  # limits on metrics; those on parameters are everybody's
    uses_seed: ClassVar[bool] = True  # False: suggests the same with every seed
    learns: ClassVar[bool] = True  # False: looks at no losses, so that trials of earlier jobs are nothing to it

    def __init__(
        self,
        space: Space,
        objectives: Sequence[Objective],
        options: Options,
        seed: int,
        *,
        constraints: Sequence[MetricConstraint] = (),
    ) -> None:
        """`seed` is any non-negative integer below 2**63."""
        from tuning_service.search.transform import SpaceTransform

        self.space = space
        self.objectives = tuple(objectives)
        self.constraints = tuple(constraints)
        self.options = options
        self.seed = seed
        self.transform = SpaceTransform(space)
        self._tried: set[Hashable] = set()
        self._last_number = -1
        self._attempt = 0

    @classmethod  # noqa: B027  # not abstract: most have nothing to refuse
    def check_space(cls, space: Space) -> None:
        """Return quietly when this algorithm can search `space`. Called in the API's process, at submission.

        Raises:
            InvalidRequest: it cannot; names the field and the remedy.
        """

    @classmethod  # noqa: B027  # not abstract: of most, options and space have nothing to do with each other
    def check_options(cls, options: Options, space: Space) -> None:
        """Return quietly when `options`, valid in themselves, suit `space`. Called as `check_space` is, after it.

        Raises:
            InvalidRequest: they do not; names the field and the remedy.
        """

    def observe(self, observations: Sequence[Observation]) -> None:
        """Take note of trials that have ended, failures (losses None) included; each is shown once.

        Those of earlier jobs (`Observation.job`) come before the first of this one. They are no trials of this job:
        what was tried there may be proposed again. Of those that are not telling, an algorithm hears nothing.
        """
        for observation in observations:
            if not observation.job:
                self._tried.add(self.transform.key(observation.params))
                self._last_number = max(self._last_number, observation.number)
        self._observe([_finite(o) for o in observations if o.telling])

    def suggest(self, count: int, pending: Sequence[PendingTrial]) -> list[Suggestion]:
        """`count` new configurations, or fewer when the space is exhausted.

        Each is valid in the space, holds exactly its active parameters, meets the space's constraints, and repeats
        neither one another nor a pending or observed trial while untried ones remain. An algorithm that repeats itself
        or breaks constraints is asked again with other randomness; then random draws, and at last the untried rest of
        a finite space, take its place, which `Suggestion.source` tells.

        Raises:
            InvalidRequest: the algorithm proposed what is not in the space.
        """
        if count < 1:
            raise ValueError(f"count must be at least 1, not {count}")
        taken = {self.transform.key(p.params) for p in pending}
        accepted: list[Suggestion] = []
        for self._attempt in range(_ATTEMPTS):
            missing = count - len(accepted)
            proposed = self._suggest(missing, _with_accepted(pending, accepted, self.next_number(pending)))[:missing]
            count -= missing - len(proposed)  # fewer than asked: the algorithm itself is done
            accepted += self._new_ones(proposed, taken)
            if len(accepted) == count:
                return accepted
        for self._attempt in range(_ATTEMPTS, _ATTEMPTS + _DRAWS):
            number = self.next_number(_with_accepted(pending, accepted, self.next_number(pending)))
            draws = [self._drawn(number + i) for i in range(count - len(accepted))]
            accepted += self._new_ones(draws, taken)
            if len(accepted) == count:
                return accepted
        source = f"last untried: {self.name} proposed nothing new"
        last = self._untried.first(count - len(accepted), self._tried, taken)
        return accepted + [Suggestion(params=params, source=source) for params in last]

    @classmethod
    def has_model(cls) -> bool:
        """Whether `recommend` is worth asking."""
        return cls.recommend is not HPTAlgorithm.recommend

    def recommend(self) -> Recommendation | None:
        """The trial of this job that is best by what the algorithm's model makes of noise; None without a model.

        With one objective only. Among trials that were observed and violate no constraint.
        """
        return None

    def next_number(self, pending: Sequence[PendingTrial]) -> int:
        """The number that the first trial to be suggested will have in its job."""
        return max([self._last_number, *(p.number for p in pending)]) + 1

    def rng(self, number: int) -> "np.random.Generator":
        """A fresh generator for the trial of that number: the same for the same seed, another when asked again."""
        import numpy as np

        return np.random.default_rng([self.seed, number, self._attempt])

    def _new_ones(self, proposed: Sequence[Suggestion], taken: set[Hashable]) -> list[Suggestion]:
        """Those of `proposed` that are allowed, and neither tried nor in `taken`; adds them to that."""
        found = []
        for suggestion in proposed:
            self.space.check_values(suggestion.params)
            if not self.space.allows(suggestion.params):
                continue
            key = self.transform.key(suggestion.params)
            if key not in taken and key not in self._tried:
                taken.add(key)
                found.append(suggestion)
        return found

    def _drawn(self, number: int) -> Suggestion:
        return Suggestion(
            params=self.transform.sample(self.rng(number)), source=f"random draw: {self.name} proposed nothing new"
        )

    @cached_property
    def _untried(self) -> "Rest":
        return Rest(self.transform.enumerate(), self.transform.key)

    @abstractmethod
    def _observe(self, observations: Sequence[Observation]) -> None:
        """As `observe`; all losses and violations are finite numbers."""

    @abstractmethod
    def _suggest(self, count: int, pending: Sequence[PendingTrial]) -> list[Suggestion]:
        """`count` proposals, valid in the space; fewer when the algorithm is done, whatever is untried."""


class Rest:
    """What a list of configurations, too long to hold, still has while trials are run and end. Reads each once."""

    def __init__(
        self, configurations: Iterator[dict[str, ParamValue]], key: Callable[[Mapping[str, ParamValue]], Hashable]
    ) -> None:
        self._configurations = configurations
        self._key = key
        self._passed: dict[Hashable, dict[str, ParamValue]] = {}  # read, and not known as tried

    def first(
        self, count: int, tried: AbstractSet[Hashable], taken: AbstractSet[Hashable]
    ) -> list[dict[str, ParamValue]]:
        """The first `count`, or as many as there are, that are neither tried, now and for ever, nor taken just now."""
        self._passed = {key: params for key, params in self._passed.items() if key not in tried}
        found = [params for key, params in self._passed.items() if key not in taken][:count]
        while len(found) < count:
            params = next(self._configurations, None)
            if params is None:
                break
            key = self._key(params)
            if key in tried:
                continue
            self._passed[key] = params
            if key not in taken:
                found.append(params)
        return found


def _finite(observation: Observation) -> Observation:
    """`observation`, failed when one of its numbers is nan or inf."""
    numbers = (*(observation.losses or ()), *observation.violations)
    return observation if all(map(math.isfinite, numbers)) else replace(observation, losses=None, violations=())


def _with_accepted(pending: Sequence[PendingTrial], accepted: Sequence[Suggestion], number: int) -> list[PendingTrial]:
    """`pending`, and what this call will return, as the trials that they will be: the first gets `number`."""
    return [*pending, *(PendingTrial(number=number + i, params=s.params) for i, s in enumerate(accepted))]


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
    """All registered algorithms by name. Those of this package are registered when `tuning_service.search` loads."""
    return dict(_ALGORITHMS)
