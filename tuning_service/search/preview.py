"""A look at a space: some of its configurations, spread evenly, and how many there are. With bounded effort."""

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from tuning_service.domain.errors import FieldProblem, InvalidRequest
from tuning_service.domain.parameters import Parameter, ParamValue, identity
from tuning_service.domain.space import Space

if TYPE_CHECKING:
    from tuning_service.search.transform import SpaceTransform, Vector

# Places that are looked at, all in all, for configurations that the constraints allow.
MOST_TRIES = 4096
_BLOCK = 128
# Parameters and characters of constraints up to which a search for a thin part that they leave takes few seconds.
_MOST_SEARCHED = 100
_LARGEST_COUNT = 2**53
# Combinations of parents' values that are told apart in counting.
_MOST_STATES = 2000
_LISTED = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """`size` is None for an infinite space, and for one that is too large or too tangled to count: see `notes`.

    It counts what the constraints forbid, too. `problems` say that these leave nothing.
    """

    samples: tuple[dict[str, ParamValue], ...] = ()
    size: int | None = None
    notes: tuple[str, ...] = ()
    problems: tuple[FieldProblem, ...] = ()


def look_at(space: Space, count: int, seed: int) -> Look:
    """Up to `count` different configurations, valid in `space` and allowed by its constraints; the same each time.

    Points of a Halton sequence with permuted digits, so that few of them are spread over each parameter's range.
    """
    size, notes = _counted(space)
    if space.constraints and size is not None:
        notes.append("The number of configurations includes those that the constraints forbid.")
    from tuning_service.search.transform import SpaceTransform

    transform = SpaceTransform(space)
    wanted, count = count, max(count, 1)  # whether there are any is told in any case
    drawn = _Drawn(transform, count)
    problems: tuple[FieldProblem, ...] = ()
    if size is not None and size <= max(_LISTED, 2 * count):
        drawn.take(_shuffled(list(islice(transform.enumerate(), _LISTED + 2 * count)), seed))
        if not drawn.found:
            problems = _thin(transform, drawn, 0, seed)
        elif len(drawn.found) < count:
            notes.append(f"No more than {len(drawn.found)} configurations are allowed.")
    else:
        drawn.take(_spread(transform, seed))
        if len(drawn.found) < count:
            if drawn.found or _is_small(space):
                problems = _thin(transform, drawn, count, seed)
            if len(drawn.found) < count:
                told = f"{len(drawn.found)} samples that the constraints allow were found in {MOST_TRIES:,} tries"
                notes.append(f"{told}: they leave little of the space, or nothing.")
    return Look(samples=tuple(drawn.found[:wanted]), size=size, notes=tuple(notes), problems=problems)


def _is_small(space: Space) -> bool:
    return len(space) + sum(len(constraint.text) for constraint in space.constraints) <= _MOST_SEARCHED


def _thin(transform: "SpaceTransform", drawn: "_Drawn", count: int, seed: int) -> tuple[FieldProblem, ...]:
    """Fills up `drawn` from what little the constraints leave. Problems when that is nothing."""
    try:
        if not drawn.found:
            transform.check_feasible()
        drawn.take(_walked(transform, seed, count - len(drawn.found)))
    except InvalidRequest as error:
        return error.problems
    return ()


class _Drawn:
    def __init__(self, transform: "SpaceTransform", count: int) -> None:
        self._transform = transform
        self._count = count
        self._seen: set[Hashable] = set()
        self.found: list[dict[str, ParamValue]] = []

    def take(self, configurations: Iterator[dict[str, ParamValue]] | list[dict[str, ParamValue]]) -> None:
        """Those that are allowed and new, until there are enough."""
        if len(self.found) >= self._count:
            return
        for params in configurations:
            key = self._transform.key(params)
            if key in self._seen or not self._transform.space.allows(params):
                continue
            self._seen.add(key)
            self.found.append(params)
            if len(self.found) >= self._count:
                return


def _shuffled(listed: list[dict[str, ParamValue]], seed: int) -> list[dict[str, ParamValue]]:
    import numpy as np

    return [listed[i] for i in np.random.default_rng(seed).permutation(len(listed))]


def _spread(transform: "SpaceTransform", seed: int) -> Iterator[dict[str, ParamValue]]:
    for start in range(0, MOST_TRIES, _BLOCK):
        units = _halton(len(transform.axes), start, _BLOCK, seed)
        if transform.space.constraints:
            units = units[transform.feasible(units)]
        yield from map(transform.from_unit, units)


def _walked(transform: "SpaceTransform", seed: int, count: int) -> Iterator[dict[str, ParamValue]]:
    import numpy as np

    for i in range(2 * count):
        yield transform.sample(np.random.default_rng([seed, i]))


def _halton(dimensions: int, start: int, count: int, seed: int) -> "Vector":
    """Points number `start` … of the sequence in the unit cube, (count, d)."""
    import numpy as np

    points = np.zeros((count, dimensions))
    for place, base in enumerate(_primes(dimensions)):
        rng = np.random.default_rng([seed, place])
        numbers, scale = np.arange(start, start + count), 1.0
        # Enough digits to tell MOST_TRIES points apart; below them a random shift.
        for _ in range(math.ceil(math.log(MOST_TRIES, base))):
            scale /= base
            points[:, place] += rng.permutation(base)[numbers % base] * scale
            numbers = numbers // base
        points[:, place] += rng.random() * scale
    return points


def _primes(count: int) -> list[int]:
    found: list[int] = []
    number = 2
    while len(found) < count:
        if all(number % prime for prime in found if prime * prime <= number):
            found.append(number)
        number += 1
    return found


def _counted(space: Space) -> tuple[int | None, list[str]]:
    """How many configurations there are without the constraints; None with a note, or for infinitely many."""
    if any(parameter.size is None for parameter in space):
        return None, []
    wanted: dict[str, dict[tuple[bool, Any], None]] = defaultdict(dict)
    last_use: dict[str, int] = {}
    for i, parameter in enumerate(space.topological):
        for condition in parameter.when:
            wanted[condition.parent] |= dict.fromkeys(map(identity, condition.values))
            last_use[condition.parent] = i
    # How many configurations of the parameters so far have these values of parents that are still asked for.
    counts: dict[frozenset[tuple[str, Any]], int] = {frozenset(): 1}
    for i, parameter in enumerate(space.topological):
        following: dict[frozenset[tuple[str, Any]], int] = defaultdict(int)
        for state, number in counts.items():
            kept = frozenset(item for item in state if last_use[item[0]] > i)
            for added, times in _choices(space, parameter, state, wanted.get(parameter.name, {})):
                following[kept | added] += number * times
        if len(following) > _MOST_STATES:
            return None, ["The conditions are too many for the configurations to be counted."]
        counts = following
        if sum(counts.values()) > _LARGEST_COUNT:
            return None, [f"There are more than {_LARGEST_COUNT:,} configurations."]
    return sum(counts.values()), []


def _choices(
    space: Space, parameter: Parameter, state: frozenset[tuple[str, Any]], telling: Iterable[tuple[bool, Any]]
) -> Iterator[tuple[frozenset[tuple[str, Any]], int]]:
    """What a parameter adds to `state`, and in how many ways; `telling` are values that conditions ask for."""
    if not space.is_active(parameter, {name: value for name, (_, value) in state}):
        yield frozenset(), 1
        return
    asked = list(telling)
    for value in asked:
        yield frozenset({(parameter.name, value)}), 1
    if (rest := (parameter.size or 1) - len(asked)) > 0:
        yield frozenset(), rest
