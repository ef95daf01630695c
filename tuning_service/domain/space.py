"""The search space: parameters, conditions between them, constraints. Valid once built."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any

from tuning_service.domain.errors import FieldProblem, InvalidRequest
from tuning_service.domain.expressions import RESERVED, Expression
from tuning_service.domain.kinds import check_kinds
from tuning_service.domain.parameters import (
    Parameter,
    Params,
    ParamValue,
    identity,
    parameter_from_dict,
    parameter_to_dict,
    problem,
)

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """What is searched. Parameters keep the order written; `topological` has parents before children."""

    parameters: tuple[Parameter, ...]
    constraints: tuple[Expression, ...] = ()  # all must hold; one that mentions an inactive parameter does
    topological: tuple[Parameter, ...] = field(init=False, repr=False, compare=False)
    written: Mapping[str, Any] | None = field(default=None, repr=False, compare=False)  # as its author wrote it

    def __post_init__(self) -> None:
        if not self.parameters:
            raise problem("space", "the space is empty.", "Name at least one parameter to search.")
        self._check_names()
        object.__setattr__(self, "parameters", self._with_settled_conditions())
        object.__setattr__(self, "topological", self._sorted())
        self._check_constraints()

    def _check_names(self) -> None:
        seen: dict[str, str] = {}
        for parameter in self.parameters:
            where = f"space.{parameter.name}"
            if not _NAME.fullmatch(parameter.name):
                raise problem(
                    where,
                    f"{parameter.name!r} cannot be a parameter's name.",
                    "Use a letter, then up to 63 letters, digits or underscores.",
                )
            if self.constraints and parameter.name in RESERVED:
                raise problem(where, f"{parameter.name!r} is a word of the constraints' grammar.", "Rename it.")
            # The program sees TUNING_PARAM_<NAME> in capitals, so names that differ in case only would clash.
            other = seen.setdefault(parameter.name.upper(), parameter.name)
            if other != parameter.name:
                raise problem(where, f"differs from {other!r} in case only.", "Rename one of them.")

    def _check_constraints(self) -> None:
        by_name = {p.name: p for p in self.parameters}
        for i, constraint in enumerate(self.constraints):
            where = f"constraints.{i}"
            if unknown := sorted(constraint.names - by_name.keys()):
                close = get_close_matches(unknown[0], by_name, n=1)
                remedy = f"Did you mean {close[0]!r}?" if close else f"Use one of {sorted(by_name)}."
                raise problem(where, f"there is no parameter {unknown[0]!r}.", remedy)
            check_kinds(constraint, by_name, where)

    def _with_settled_conditions(self) -> tuple[Parameter, ...]:
        """The parameters, conditions checked and with their parents' values as configurations have them."""
        by_name = {p.name: p for p in self.parameters}
        settled: list[Parameter] = []
        for parameter in self.parameters:
            when = []
            for condition in parameter.when:
                where = f"space.{parameter.name}.when.{condition.parent}"
                parent = by_name.get(condition.parent)
                if parent is None:
                    raise problem(
                        where,
                        f"there is no parameter {condition.parent!r}.",
                        f"Use one of {sorted(by_name)}.",
                    )
                if not condition.values:
                    raise problem(where, "the list of values is empty.", "Name at least one value.")
                for value in condition.values:
                    if not parent.contains(value):
                        raise problem(where, f"{condition.parent} never is {value!r}.", "Use values that it can take.")
                when.append(replace(condition, values=tuple(map(parent.canonical, condition.values))))
            settled.append(replace(parameter, when=tuple(when)) if when else parameter)
        return tuple(settled)

    def _sorted(self) -> tuple[Parameter, ...]:
        done: dict[str, Parameter] = {}
        rest = list(self.parameters)
        while rest:
            ready = [p for p in rest if all(c.parent in done for c in p.when)]
            if not ready:
                names = ", ".join(p.name for p in rest)
                raise problem(
                    f"space.{rest[0].name}.when",
                    f"the conditions of {names} form a cycle.",
                    "A parameter cannot depend on itself, directly or through others.",
                )
            done.update((p.name, p) for p in ready)
            rest = [p for p in rest if p.name not in done]
        return tuple(done.values())

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self.parameters)

    def __len__(self) -> int:
        return len(self.parameters)

    def is_active(self, parameter: Parameter, params: Params) -> bool:
        """True when all conditions hold in `params`, where an inactive parent is simply absent."""
        return all(
            c.parent in params and any(identity(value) == identity(params[c.parent]) for value in c.values)
            for c in parameter.when
        )

    def active_part(self, params: Params) -> dict[str, ParamValue]:
        """`params` in topological order, without parameters that are inactive under their parents' values.

        Raises:
            KeyError: an active parameter has no value.
        """
        kept: dict[str, ParamValue] = {}
        for parameter in self.topological:
            if self.is_active(parameter, kept):
                kept[parameter.name] = params[parameter.name]
        return kept

    def check(self, params: Params, field: str = "params") -> None:
        """Return quietly when `params` holds a valid value for each active parameter and nothing else.

        Raises:
            InvalidRequest: naming each parameter below `field` that is missing, unknown, inactive or out of range, or
                else each constraint that does not hold.
        """
        self.check_values(params, field)
        problems = [
            FieldProblem(
                field=field,
                message=f"the constraint {constraint.text!r} does not hold for {_listed(params, constraint.names)}.",
                remedy="Use values for which it does.",
            )
            for constraint in self.constraints
            if not constraint.holds(params)
        ]
        if problems:
            raise InvalidRequest(*problems)

    def check_values(self, params: Params, field: str = "params") -> None:
        """The same, whatever the constraints say."""
        problems = []
        for parameter in self.topological:
            where = f"{field}.{parameter.name}"
            active = self.is_active(parameter, params)
            if active and parameter.name not in params:
                problems.append(FieldProblem(field=where, message="is missing.", remedy="Give it a value."))
            elif not active and parameter.name in params:
                problems.append(FieldProblem(field=where, message="is not active here.", remedy="Leave it out."))
            elif active and not parameter.contains(params[parameter.name]):
                problems.append(
                    FieldProblem(
                        field=where,
                        message=f"{params[parameter.name]!r} is outside the space.",
                        remedy="Use a value that the space allows.",
                    )
                )
        known = {p.name for p in self.parameters}
        problems += [
            FieldProblem(
                field=f"{field}.{name}",
                message="is not in the space.",
                remedy=f"Did you mean {close[0]!r}?"
                if (close := get_close_matches(name, known, n=1))
                else "Remove it.",
            )
            for name in params
            if name not in known
        ]
        if problems:
            raise InvalidRequest(*problems)

    def allows(self, params: Params) -> bool:
        """True when all constraints hold for a configuration that is valid otherwise."""
        return all(constraint.holds(params) for constraint in self.constraints)

    def canonical(self, params: Params) -> dict[str, ParamValue]:
        """`params`, those that are values of their parameters as a program is given them: 0.3 for 0.1 + 0.2."""
        by_name = {p.name: p for p in self.parameters}
        return {
            name: by_name[name].canonical(value) if name in by_name and by_name[name].contains(value) else value
            for name, value in params.items()
        }

    def completed(self, params: Params) -> dict[str, ParamValue]:
        """`params` in topological order, each active parameter that is missing at its default, or else at its middle.

        Values of parameters become canonical (0.3 for 0.1 + 0.2). What is inactive, no value of its parameter or not in
        the space stays, for `check` to find.
        """
        full: dict[str, ParamValue] = {}
        given = self.canonical(params)
        for parameter in self.topological:
            if parameter.name in given:
                full[parameter.name] = given[parameter.name]
            elif self.is_active(parameter, full):
                full[parameter.name] = parameter.middle if parameter.default is None else parameter.default
        return full | {name: value for name, value in params.items() if name not in full}

    @property
    def default_point(self) -> dict[str, ParamValue] | None:
        """The configuration that the defaults make; None when no parameter has one."""
        return self.completed({}) if any(p.default is not None for p in self.parameters) else None

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """The parameters as they stand in a job file, word for word where they came from one."""
        if self.written is not None:
            return {name: dict(entry) for name, entry in self.written.items()}
        return {p.name: parameter_to_dict(p) for p in self.parameters}

    @classmethod
    def from_dict(cls, data: Mapping[str, Mapping[str, Any]], constraints: Sequence[str] = ()) -> "Space":
        """The space of a job file's `space` and `constraints`, whose shape has been checked.

        Raises:
            InvalidRequest: with every problem of single parameters and constraints, or the first of the whole.
        """
        problems: list[FieldProblem] = []
        parameters: list[Parameter] = []
        expressions: list[Expression] = []
        for name, item in data.items():
            try:
                parameters.append(parameter_from_dict(name, item))
            except InvalidRequest as error:
                problems += error.problems
        for i, text in enumerate(constraints):
            try:
                expressions.append(Expression.parse(text, f"constraints.{i}"))
            except InvalidRequest as error:
                problems += error.problems
        if problems:
            raise InvalidRequest(*problems)
        space = cls(parameters=tuple(parameters), constraints=tuple(expressions))
        return replace(space, written=data)


def _listed(params: Params, names: Collection[str]) -> str:
    return ", ".join(f"{name} = {value!r}" for name, value in params.items() if name in names)
