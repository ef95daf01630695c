"""Constraints over thousands of places in the unit cube at once: `Expression.holds` in numpy, with the same results."""

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuning_service.domain.expressions import BINARY, CONSTANTS, FUNCTIONS, ORDER, Expression
from tuning_service.domain.parameters import FloatParameter, identity
from tuning_service.search.axes import Axis, Vector

Mask = NDArray[np.bool_]
Texts = NDArray[np.object_]

# Of these numpy's results are Python's to the last bit. The others are computed one by one, as `holds` does.
_EXACT = {ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod}
_NUMPY: dict[str, Callable[..., Vector]] = {
    "abs": np.abs,
    "ceil": np.ceil,
    "floor": np.floor,
    "round": np.rint,
}


@dataclass(frozen=True, slots=True)
class _Column:
    """The values of one part of an expression: a number, a text or neither in each row. Shapes (n,) or (1,)."""

    numbers: Vector  # nan where there is a text
    texts: Texts | None = None  # None where there is a number; None altogether when no row has a text
    failed: Mask | None = None  # rows that could not be computed; None: there are none

    @property
    def is_text(self) -> Mask:
        if self.texts is None:
            return np.zeros(1, dtype=bool)
        return np.array([text is not None for text in self.texts])

    @property
    def has_failed(self) -> Mask:
        return np.zeros(1, dtype=bool) if self.failed is None else self.failed


class Columns:
    """What stands at `units` (n, d), column by column, worked out as far as somebody asks for it."""

    def __init__(self, axes: Sequence[Axis], units: Vector) -> None:
        self._units = units
        self._places = {axis.name: i for i, axis in enumerate(axes)}
        self._axes = axes
        self._columns: dict[str, _Column] = {}
        self._active: dict[str, Mask] = {}

    def holds(self, expression: Expression) -> Mask:
        """For each row: what `expression.holds` says of its configuration, (n,)."""
        with np.errstate(all="ignore"):
            found = self._value(expression.tree)
        met = np.broadcast_to((found.numbers != 0) & ~found.has_failed, len(self._units))
        for name in expression.names:
            met = met | ~self._is_active(name)
        return met

    # -- parameters

    def _units_of(self, name: str) -> Vector:
        units = self._units[:, self._places[name]]
        return np.where(np.isnan(units), 0.5, np.clip(units, 0.0, 1.0))

    def _indices(self, name: str, size: int) -> NDArray[np.int64]:
        return np.minimum(size - 1, (self._units_of(name) * size).astype(np.int64))

    def _column(self, name: str) -> _Column:
        if name not in self._columns:
            axis = self._axes[self._places[name]]
            parameter, units = axis.parameter, self._units_of(name)
            if isinstance(parameter, FloatParameter) and parameter.scale == "linear" and axis.size is None:
                low, high = parameter.min, parameter.max
                self._columns[name] = _Column(np.clip(low * (1 - units) + high * units, low, high))
            elif axis.shares is None:
                # One by one: numpy's exponential is not Python's to the last bit.
                self._columns[name] = _Column(np.array([axis.from_unit(unit) for unit in units.tolist()], dtype=float))
            else:
                listed = _listed(axis.shares)
                indices = self._indices(name, len(axis.shares))
                texts = None if listed.texts is None else listed.texts[indices]
                self._columns[name] = _Column(listed.numbers[indices], texts)
        return self._columns[name]

    def _is_active(self, name: str) -> Mask:
        if name not in self._active:
            active = np.ones(len(self._units), dtype=bool)
            for condition in self._axes[self._places[name]].parameter.when:
                active &= self._is_active(condition.parent) & self._is_one_of(condition.parent, condition.values)
            self._active[name] = active
        return self._active[name]

    def _is_one_of(self, name: str, values: Sequence[object]) -> Mask:
        shares = self._axes[self._places[name]].shares
        if shares is None:  # a range of numbers
            return np.isin(self._column(name).numbers, np.array(values, dtype=float))
        wanted = {identity(value) for value in values}
        chosen = np.array([identity(value) in wanted for value in shares])
        found: Mask = chosen[self._indices(name, len(shares))]
        return found

    # -- the grammar, as in domain/expressions.py

    def _value(self, node: ast.expr) -> _Column:  # noqa: PLR0911  # one line for each part of the grammar
        match node:
            case ast.Constant(value=bool() | int() | float() | str() as value):
                return _listed([value])
            case ast.Name(id=name):
                return _listed([CONSTANTS[name]]) if name in CONSTANTS else self._column(name)
            case ast.BinOp():
                parts = [self._value(node.left), self._value(node.right)]
                return _computed(BINARY[type(node.op)], parts, exact=type(node.op) in _EXACT)
            case ast.UnaryOp(op=ast.Not()):
                operand = self._value(node.operand)
                return _Column((operand.numbers == 0).astype(float), failed=operand.failed)
            case ast.UnaryOp():
                sign = -1.0 if isinstance(node.op, ast.USub) else 1.0
                return _computed(lambda a: sign * a, [self._value(node.operand)], exact=True)
            case ast.Call(func=ast.Name(id=name)):
                function = _NUMPY.get(name, FUNCTIONS[name][0])
                return _computed(function, [self._value(part) for part in node.args], exact=name in _NUMPY)
            case ast.BoolOp():
                return _chain([self._value(part) for part in node.values], until=isinstance(node.op, ast.Or))
            case ast.Compare():
                return self._compared(node)
        raise AssertionError(f"{node} passed the check")

    def _compared(self, node: ast.Compare) -> _Column:
        links = []
        left = self._value(node.left)
        for op, part in zip(node.ops, node.comparators, strict=True):
            if isinstance(part, (ast.List, ast.Tuple)):
                links.append(_membership(left, [self._value(item) for item in part.elts], isinstance(op, ast.NotIn)))
            else:
                right = self._value(part)
                links.append(_comparison(op, left, right))
                left = right
        return _chain(links, until=False)


def _listed(values: Sequence[object]) -> _Column:
    is_text = [isinstance(value, str) for value in values]
    numbers = [np.nan if text else float(value) for text, value in zip(is_text, values, strict=True)]  # type: ignore[arg-type]
    texts = np.array([value if text else None for text, value in zip(is_text, values, strict=True)], dtype=object)
    return _Column(np.array(numbers), texts if any(is_text) else None)


def _computed(function: Callable[..., object], parts: Sequence[_Column], *, exact: bool) -> _Column:
    """`function` of numbers. Fails for texts, and where the result is no finite number."""
    numbers = np.broadcast_arrays(*(part.numbers for part in parts))
    if exact:
        result = np.asarray(function(*numbers), dtype=float)
    else:
        result = np.array([_one(function, row) for row in zip(*(n.tolist() for n in numbers), strict=True)])
    failed = ~np.isfinite(result)  # a text is nan, and what is computed from nan is nan
    for part in parts:
        failed = failed | part.has_failed | np.isnan(part.numbers)
    return _Column(result, failed=failed)


def _one(function: Callable[..., object], arguments: Sequence[float]) -> float:
    try:
        result = function(*arguments)
    except (ArithmeticError, ValueError):
        return np.nan
    return float(result) if isinstance(result, (int, float)) else np.nan


def _chain(parts: Sequence[_Column], *, until: bool) -> _Column:
    """`and` (until False) or `or` (until True) from left to right: what comes after the first such part is not read."""
    reached = np.ones(1, dtype=bool)
    failed = np.zeros(1, dtype=bool)
    for part in parts:
        failed = failed | (reached & part.has_failed)
        reached = reached & ~part.has_failed & ((part.numbers != 0) != until)
    return _Column((reached != until).astype(float), failed=failed)


def _comparison(op: ast.cmpop, a: _Column, b: _Column) -> _Column:
    failed = a.has_failed | b.has_failed
    if type(op) not in ORDER:
        same = _same(a, b)
        return _Column((~same if isinstance(op, ast.NotEq) else same).astype(float), failed=failed)
    met = ORDER[type(op)](a.numbers, b.numbers)
    if a.texts is not None or b.texts is not None:
        met = met | _both_texts(ORDER[type(op)], a, b)
        failed = failed | (a.is_text != b.is_text)
    return _Column(met.astype(float), failed=failed)


def _membership(left: _Column, items: Sequence[_Column], negated: bool) -> _Column:
    found, failed = np.zeros(1, dtype=bool), left.has_failed
    for item in items:
        found = found | _same(left, item)
        failed = failed | item.has_failed
    return _Column((found != negated).astype(float), failed=failed)


def _same(a: _Column, b: _Column) -> Mask:
    same: Mask = a.numbers == b.numbers
    if a.texts is not None and b.texts is not None:
        same = same | _both_texts(lambda x, y: x == y, a, b)
    return same


def _both_texts(compare: Callable[[str, str], bool], a: _Column, b: _Column) -> Mask:
    if a.texts is None or b.texts is None:
        return np.zeros(1, dtype=bool)
    rows = zip(*np.broadcast_arrays(a.texts, b.texts), strict=True)
    return np.array([x is not None and y is not None and compare(x, y) for x, y in rows], dtype=bool)
