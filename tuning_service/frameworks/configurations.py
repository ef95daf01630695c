"""A handful of configurations of a space: the first one, its corners, and some from within."""

import math
import random
from collections.abc import Iterator, Mapping, Sequence

from tuning_service.domain.errors import InvalidRequest
from tuning_service.domain.parameters import FloatParameter, Parameter, Params, ParamValue
from tuning_service.domain.space import Space

_VALUES = 16  # of one parameter, with all others as in the first configuration
_DRAWN = 64
_TRIES = 10 * _DRAWN


def configurations(space: Space, points: Sequence[Params]) -> Iterator[Mapping[str, ParamValue]]:
    """Valid configurations of `space`, `points` first; the same each time. None when none was found."""
    yield from points
    for candidate in ({}, *_single(space)):
        if (found := _valid(space, space.completed(candidate))) is not None:
            yield found
    rng, left = random.Random(0), _DRAWN  # noqa: S311  # nothing secret
    for _ in range(_TRIES):
        if left and (found := _valid(space, _drawn(space, rng))) is not None:
            left -= 1
            yield found


def _valid(space: Space, params: Params) -> Params | None:
    try:
        space.check(params)
    except InvalidRequest:
        return None
    return params


def _single(space: Space) -> Iterator[dict[str, ParamValue]]:
    """All parameters at their lowest, all at their highest, then one value of one parameter each."""
    ends = {parameter.name: _ends(parameter) for parameter in space}
    for index in (0, -1):
        yield space.active_part({name: values[index] for name, values in ends.items()})
    parents = {parameter.name: _parents(space, parameter) for parameter in space}
    for parameter in space:
        for value in _ends(parameter):
            yield {**parents[parameter.name], parameter.name: value}


def _parents(space: Space, parameter: Parameter) -> dict[str, ParamValue]:
    """Values that make `parameter` active."""
    values: dict[str, ParamValue] = {}
    known = {one.name: one for one in space}
    for condition in parameter.when:
        values |= _parents(space, known[condition.parent]) | {condition.parent: condition.values[0]}
    return values


def _ends(parameter: Parameter) -> tuple[ParamValue, ...]:
    size = parameter.size
    if size is None:
        assert isinstance(parameter, FloatParameter)
        return (parameter.min, parameter.max)
    return tuple(parameter.value_at(i) for i in (range(size) if size <= _VALUES else (0, size - 1)))


def _drawn(space: Space, rng: random.Random) -> dict[str, ParamValue]:
    return space.active_part({parameter.name: _value(parameter, rng) for parameter in space})


def _value(parameter: Parameter, rng: random.Random) -> ParamValue:
    if parameter.size is not None:
        return parameter.value_at(rng.randrange(parameter.size))
    assert isinstance(parameter, FloatParameter)
    if parameter.scale == "log":
        drawn = math.exp(rng.uniform(math.log(parameter.min), math.log(parameter.max)))
    else:
        drawn = rng.uniform(parameter.min, parameter.max)
    return min(parameter.max, max(parameter.min, drawn))
