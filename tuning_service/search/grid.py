"""Grid search: every combination of the parameters' values."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic import Field, StrictInt

from tuning_service.domain.errors import FieldProblem, InvalidRequest
from tuning_service.domain.job import MOST_OBJECTIVES
from tuning_service.domain.parameters import FloatParameter, IntParameter, Parameter, ParamValue, identity
from tuning_service.domain.space import Space
from tuning_service.domain.trial import Observation, Suggestion
from tuning_service.search.base import HPTAlgorithm, Options, PendingTrial, Rest, algorithm

if TYPE_CHECKING:
    from tuning_service.search.transform import Axis, SpaceTransform

# Points of one parameter and of the whole grid. No job tries more, and a larger grid is a mistake that is better told
# than half carried out.
_MOST_ON_SCALE = 10_000
MOST_POINTS = 10_000_000
# Combinations of parents' values that are told apart in counting: a submission waits for it.
_MOST_STATES = 5000


class GridOptions(Options):
    points: int = Field(
        default=5,
        ge=1,
        le=_MOST_ON_SCALE,
        description="Points of a float without a step, and of an int with scale log that has more values: "
        "evenly on its scale, both ends included. All others have all their values.",
    )
    values: dict[str, StrictInt | list[bool | int | float | str]] = Field(
        default={}, description="For single parameters: how many points on its scale, or a list of the values to try."
    )


@algorithm(
    "grid",
    summary="Every combination of values, once, in order, and then the job ends. For few parameters with few values.",
    options=GridOptions,
)
class Grid(HPTAlgorithm):
    """Suggests the first points of the grid that are neither tried nor running, whatever losses and seed."""

    options: GridOptions
    most_objectives = MOST_OBJECTIVES
    takes_constraints = True
    learns = False
    uses_seed = False

    @classmethod
    def check_options(cls, options: Options, space: Space) -> None:
        """Return quietly when `values` are of this space and the grid has no more than `MOST_POINTS` points."""
        from tuning_service.search.transform import SpaceTransform

        wanted: Mapping[str, Any] = options.values  # type: ignore[attr-defined]  # GridOptions
        by_name = {p.name: p for p in space}
        problems = [_problem(name, entry, by_name) for name, entry in wanted.items()]
        if found := [p for p in problems if p is not None]:
            raise InvalidRequest(*found)
        columns = _columns(SpaceTransform(space), options)  # type: ignore[arg-type]
        count = grid_size(space, columns)
        if count > MOST_POINTS:
            widest = max(columns, key=lambda c: c.size)
            raise InvalidRequest(
                FieldProblem(
                    field="algorithm.options.values",
                    message=f"the grid has {count:,} points or more; it may have at most {MOST_POINTS:,}.",
                    remedy=f"{widest.name} alone has {widest.size:,} values: list those to try, "
                    f"give {widest.name} a step, or use algorithm sobol.",
                )
            )

    @cached_property
    def _rest(self) -> Rest:
        columns = _columns(self.transform, self.options)
        return Rest(self.transform.product([c.values for c in columns]), self.transform.key)

    def _observe(self, observations: Sequence[Observation]) -> None:
        pass

    def _suggest(self, count: int, pending: Sequence[PendingTrial]) -> list[Suggestion]:
        running = {self.transform.key(p.params) for p in pending}
        return [Suggestion(params=params) for params in self._rest.first(count, self._tried, running)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    """The values of one parameter that the grid has."""

    name: str
    size: int
    values: Callable[[], Iterable[ParamValue]]
    is_whole: bool  # all values that the parameter has, too many to read perhaps


def _columns(transform: "SpaceTransform", options: GridOptions) -> list[_Column]:
    """Of each axis."""
    return [_column(axis, options) for axis in transform.axes]


def _column(axis: "Axis", options: GridOptions) -> _Column:
    wanted = options.values.get(axis.name)
    if wanted is None and axis.size is not None and (axis.size <= options.points or not _is_log(axis.parameter)):
        return _Column(name=axis.name, size=axis.size, values=axis.values, is_whole=True)
    if isinstance(wanted, list):
        chosen = [axis.parameter.canonical(value) for value in wanted]
    else:
        count = options.points if wanted is None else wanted
        chosen = _on_scale(axis, count)
    unique = {identity(value): value for value in chosen}  # neighbours on an integer scale may round to one value
    return _Column(name=axis.name, size=len(unique), values=unique.values, is_whole=False)


def _on_scale(axis: "Axis", count: int) -> list[ParamValue]:
    """`count` values evenly on the scale of a number, both ends included; the middle, of one."""
    if count == 1:
        return [axis.from_unit(0.5)]
    low, high = axis.to_unit(axis.parameter.min), axis.to_unit(axis.parameter.max)  # type: ignore[union-attr]
    return [axis.from_unit(low + (high - low) * i / (count - 1)) for i in range(count)]


def _is_log(parameter: Parameter) -> bool:
    return isinstance(parameter, IntParameter) and parameter.scale == "log"


def grid_size(space: Space, columns: Iterable[_Column]) -> int:
    """How many points a grid has, those included that constraints forbid.

    Beyond `MOST_POINTS` it may stop counting. Where conditions are too many to be told apart, those that are left
    count as if none of them held.
    """
    by_name = {c.name: c for c in columns}
    mentioned: dict[str, set[Hashable]] = defaultdict(set)
    for parameter in space:
        for condition in parameter.when:
            mentioned[condition.parent].update(map(identity, condition.values))
    # How many configurations of the parameters so far have these values of parents that a condition mentions.
    counts: dict[frozenset[tuple[str, Any]], int] = {frozenset(): 1}
    for place, parameter in enumerate(space.topological):
        if len(counts) > _MOST_STATES:
            return _times(sum(counts.values()), (by_name[p.name].size for p in space.topological[place:] if not p.when))
        column = by_name[parameter.name]
        telling = mentioned[parameter.name]
        chosen = telling if column.is_whole else telling & set(map(identity, column.values()))
        following: dict[frozenset[tuple[str, Any]], int] = defaultdict(int)
        for state, count in counts.items():
            if not space.is_active(parameter, {name: value for name, (_, value) in state}):
                following[state] += count
                continue
            for value in chosen:
                following[state | {(parameter.name, value)}] += count
            if column.size > len(chosen):
                following[state] += count * (column.size - len(chosen))
        counts = following
        if sum(counts.values()) > MOST_POINTS:
            break
    return sum(counts.values())


def _times(count: int, sizes: Iterable[int]) -> int:
    """Their product, or its beginning as soon as that is beyond `MOST_POINTS`."""
    for size in sizes:
        if count > MOST_POINTS:
            break
        count *= size
    return count


def _problem(name: str, wanted: int | Sequence[Any], by_name: Mapping[str, Parameter]) -> FieldProblem | None:
    """What is wrong with one entry of `values`."""
    parameter = by_name.get(name)
    found = None
    if parameter is None:
        found = "there is no such parameter.", f"Use one of {sorted(by_name)}."
    elif isinstance(wanted, int):
        if not isinstance(parameter, (FloatParameter, IntParameter)):
            found = f"{name} has no scale.", "List the values to try."
        elif not 1 <= wanted <= _MOST_ON_SCALE:
            found = f"{wanted} points are not possible.", f"Use 1 to {_MOST_ON_SCALE}."
    elif not wanted:
        found = "the list is empty.", "Name at least one value."
    elif wrong := [value for value in wanted if not parameter.contains(value)]:
        found = f"{name} never is {wrong[0]!r}.", "Use values that the space allows."
    if found is None:
        return None
    return FieldProblem(field=f"algorithm.options.values.{name}", message=found[0], remedy=found[1])
