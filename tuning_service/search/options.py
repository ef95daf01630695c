"""Which algorithms there are and whether a user's choice of one is right. Loads none of their libraries."""

import contextlib
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from tuning_service.domain.errors import FieldProblem, InvalidRequest
from tuning_service.domain.job import AlgorithmChoice, MetricConstraint, Objective
from tuning_service.domain.space import Space
from tuning_service.search.base import HPTAlgorithm, Options, algorithms

__all__ = ["check_abilities", "check_choice", "check_options", "describe", "find_algorithm", "naming_others"]


# Beyond these, readers of JSON lose digits, or refuse.
_LARGEST_INT = 2**53
_LARGEST_FLOAT = sys.float_info.max


def find_algorithm(name: str, others: Iterable[str] = ()) -> type[HPTAlgorithm]:
    """The algorithm of that name. `others` are further names that may have been meant.

    Raises:
        InvalidRequest: there is none; names those that there are.
    """
    known = algorithms()
    if name not in known:
        raise InvalidRequest(
            FieldProblem(
                field="algorithm.name",
                message=f"there is no algorithm {name!r}.",
                remedy=_did_you_mean(name, {*known, *others}),
            )
        )
    return known[name]


def check_choice(
    choice: AlgorithmChoice,
    space: Space,
    objectives: Sequence[Objective],
    constraints: Sequence[MetricConstraint] = (),
) -> AlgorithmChoice:
    """`choice` with all defaults filled in.

    Raises:
        InvalidRequest: no such algorithm, an unknown or bad option, or what it cannot do: search this space, that many
            objectives, or within limits on metrics.
    """
    cls = find_algorithm(choice.name)
    for field, given in (("version", choice.version), ("digest", choice.digest)):
        if given:
            message = f"{choice.name} is built in and has no {field}s."
            raise InvalidRequest(FieldProblem(field=f"algorithm.{field}", message=message, remedy="Leave it out."))
    options = check_options(cls.options_type, choice.options)
    check_abilities(
        choice.name, cls.most_objectives, space, objectives, constraints, takes_constraints=cls.takes_constraints
    )
    with naming_others(space, objectives, constraints):
        cls.check_space(space)
    cls.check_options(options, space)
    return replace(choice, options=options.model_dump(mode="json"))


def check_options(model: type[Options], options: Mapping[str, Any]) -> Options:
    """The options with all defaults filled in.

    Raises:
        InvalidRequest: naming each that is unknown or bad.
    """
    try:
        made = model.model_validate(dict(options))
    except ValidationError as error:
        raise InvalidRequest(*(_problem(dict(item), model.model_fields) for item in error.errors())) from None
    problems = [
        FieldProblem(field=f"algorithm.options.{name}", message=f"{odd} cannot be stored.", remedy="Change it.")
        for name, value in options.items()
        if (odd := _unstorable(value)) is not None
    ]
    if problems:
        raise InvalidRequest(*problems)
    return made


def check_abilities(
    name: str,
    most_objectives: int,
    space: Space,
    objectives: Sequence[Objective],
    constraints: Sequence[MetricConstraint],
    *,
    takes_constraints: bool,
) -> None:
    """Return quietly when the algorithm of that name can take these objectives and constraints into account.

    Raises:
        InvalidRequest: it cannot; names the built-in ones that can.
    """
    needs = []
    if len(objectives) > most_objectives:
        needs.append(f"{len(objectives)} objectives" if most_objectives == 1 else f"over {most_objectives}")
    if constraints and not takes_constraints:
        needs.append("metric_constraints")
    if not needs:
        return
    raise InvalidRequest(
        FieldProblem(
            field="algorithm.name",
            message=f"{name} cannot search with {' and '.join(needs)}.",
            remedy=_able(space, objectives, constraints),
        )
    )


@contextlib.contextmanager
def naming_others(
    space: Space, objectives: Sequence[Objective], constraints: Sequence[MetricConstraint]
) -> Iterator[None]:
    """What is refused inside has, in its remedies, the built-in algorithms that can do all of this job."""
    try:
        yield
    except InvalidRequest as error:
        able = _able(space, objectives, constraints)
        raise InvalidRequest(*(replace(p, remedy=f"{p.remedy} {able}") for p in error.problems)) from None


def _able(space: Space, objectives: Sequence[Objective], constraints: Sequence[MetricConstraint]) -> str:
    able = [
        name
        for name, cls in sorted(algorithms().items())
        if len(objectives) <= cls.most_objectives and (cls.takes_constraints or not constraints) and _suits(cls, space)
    ]
    return f"Those that can: {', '.join(able)}." if able else "No algorithm can."


def _suits(cls: type[HPTAlgorithm], space: Space) -> bool:
    try:
        cls.check_space(space)
        cls.check_options(cls.options_type(), space)
    except InvalidRequest:
        return False
    return True


def describe() -> list[dict[str, Any]]:
    """Name, summary and options (as JSON schema) of each algorithm, by name. JSON-ready."""
    return [
        {
            "name": name,
            "summary": cls.summary,
            "most_objectives": cls.most_objectives,
            "takes_constraints": cls.takes_constraints,
            "options": cls.options_type.model_json_schema(),
        }
        for name, cls in sorted(algorithms().items())
    ]


def _problem(item: dict[str, Any], known: Iterable[str]) -> FieldProblem:
    name = str(item["loc"][0]) if item["loc"] else ""
    where = f"algorithm.options.{name}" if name else "algorithm.options"
    if item["type"] == "extra_forbidden":
        return FieldProblem(field=where, message="is no option of this algorithm.", remedy=_did_you_mean(name, known))
    message = str(item["msg"]).removeprefix("Value error, ")
    return FieldProblem(field=where, message=f"{message}, not {item['input']!r}.", remedy="Change or remove it.")


def _unstorable(value: object) -> float | None:
    """A number in `value` that JSON has no place for."""
    if isinstance(value, (int, float)):
        return None if abs(value) <= (_LARGEST_INT if isinstance(value, int) else _LARGEST_FLOAT) else value
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    return next((odd for item in inner if (odd := _unstorable(item)) is not None), None)


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    if not names:
        return "It has none: remove it."
    close = get_close_matches(name.lower(), names, n=1)
    return (f"Did you mean {close[0]!r}? " if close else "") + f"There are: {', '.join(names)}."
