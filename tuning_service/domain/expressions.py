"""Constraints over parameters as small expressions: `width * depth <= 4096`, `optimizer != 'sgd' or lr < 0.1`.

The grammar is a part of Python's: numbers, strings, true and false, parameters' names, + - * / // % **, comparisons
(chained ones too), `in` a list, and, or, not, and the functions below. It is parsed by `ast` and walked here; nothing
is ever handed to Python's own evaluation.
"""

import ast
import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tuning_service.domain.errors import FieldProblem, InvalidRequest
from tuning_service.domain.parameters import Params

_MOST_CHARACTERS = 500
_MOST_NODES = 200
# Past this many bits a product or power is not computed: numbers that long could take minutes.
_MOST_BITS = 4096

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "ceil": math.ceil,
    "exp": math.exp,
    "floor": math.floor,
    "log": math.log,
    "log10": math.log10,
    "log2": math.log2,
    "max": max,
    "min": min,
    "round": round,
    "sqrt": math.sqrt,
}
_CONSTANTS: dict[str, bool] = {"true": True, "false": False, "True": True, "False": False}


def _bounded(operation: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def compute(a: Any, b: Any) -> Any:
        if isinstance(a, str) or isinstance(b, str):
            raise TypeError("text is not a number")
        if isinstance(a, int) and isinstance(b, int):
            bits = a.bit_length() * b if operation is operator.pow else a.bit_length() + b.bit_length()
            if bits > _MOST_BITS:
                raise OverflowError
        result = operation(a, b)
        if isinstance(result, complex):
            raise ValueError("not a real number")  # noqa: TRY004  # of the value, not the type
        return result

    return compute


_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: _bounded(operator.add),
    ast.Sub: _bounded(operator.sub),
    ast.Mult: _bounded(operator.mul),
    ast.Div: _bounded(operator.truediv),
    ast.FloorDiv: _bounded(operator.floordiv),
    ast.Mod: _bounded(operator.mod),
    ast.Pow: _bounded(operator.pow),
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
}
_CANNOT = (ArithmeticError, ValueError, TypeError)


@dataclass(frozen=True, slots=True)
class Expression:
    """A condition over parameters. Equal when the texts are."""

    text: str
    names: frozenset[str] = field(compare=False)  # the parameters that it mentions
    _tree: ast.expr = field(compare=False, repr=False)

    @classmethod
    def parse(cls, text: str, where: str) -> "Expression":
        """The expression that `text` is.

        Raises:
            InvalidRequest: about the field `where`: no expression of this grammar, or one that can be no condition.
        """
        if len(text) > _MOST_CHARACTERS:
            raise _unreadable(where, f"is longer than {_MOST_CHARACTERS} characters.")
        try:
            tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            column = f" at column {error.offset}" if isinstance(error, SyntaxError) and error.offset else ""
            raise _unreadable(where, f"{text!r} cannot be read{column}.") from None
        if sum(1 for _ in ast.walk(tree)) > _MOST_NODES:
            raise _unreadable(where, "has too many parts.")
        names: set[str] = set()
        _check(tree, names, where)
        if not names:
            raise _unreadable(where, f"{text!r} mentions no parameter.")
        if not _is_condition(tree, names):
            raise _unreadable(where, f"{text!r} is no condition: it is neither true nor false.")
        return cls(text.strip(), frozenset(names), tree)

    def holds(self, params: Params) -> bool:
        """True when the condition is met, or mentions a parameter that `params` lacks (an inactive one).

        What cannot be computed (a division by zero, the log of a negative number) is not met.
        """
        if not self.names <= params.keys():
            return True
        try:
            return bool(_value(self._tree, params))
        except _CANNOT:
            return False

    def violation(self, params: Params) -> float:
        """0 when it holds; else how far `params` is from that, in whatever unit the comparison has."""
        if self.holds(params):
            return 0.0
        try:
            return min(1e300, max(_violation(self._tree, params), 1e-12))
        except _CANNOT:
            return 1e300

    def check_types(self, params: Params, where: str) -> None:
        """Return quietly when `params` has values of types that the expression can compute with.

        Raises:
            InvalidRequest: about the field `where`: it compares a text with a number, say.
        """
        if not self.names <= params.keys():
            return
        try:
            _value(self._tree, params)
        except TypeError as error:
            raise _unreadable(where, f"{self.text!r} mixes types: {error}.") from None
        except _CANNOT:
            return


def _unreadable(where: str, message: str) -> InvalidRequest:
    remedy = f"Write a condition such as 'width * depth <= 4096'. Functions: {', '.join(FUNCTIONS)}."
    return InvalidRequest(FieldProblem(field=where, message=message, remedy=remedy))


def _check(node: ast.expr, names: set[str], where: str) -> None:
    """Collect the names in `node`, which must be of this grammar throughout."""
    if isinstance(node, ast.Name):
        names |= {node.id} - _CONSTANTS.keys()
        return
    parts: Sequence[ast.expr]
    match node:
        case ast.Constant(value=bool() | int() | float() | str()):
            parts = []
        case ast.BinOp(op=op) if type(op) in _BINARY:
            parts = [node.left, node.right]
        case ast.UnaryOp(op=op) if type(op) in _UNARY:
            parts = [node.operand]
        case ast.BoolOp():
            parts = node.values
        case ast.Compare(ops=ops) if all(type(op) in _COMPARE for op in ops):
            parts = [node.left, *node.comparators]
        case ast.List() | ast.Tuple():
            parts = node.elts
        case ast.Call(func=ast.Name(id=name), keywords=[]) if name in FUNCTIONS:
            parts = node.args
        case _:
            raise _unreadable(where, f"{ast.unparse(node)!r} is not part of this grammar.")
    for part in parts:
        _check(part, names, where)


def _is_condition(node: ast.expr, names: set[str]) -> bool:
    match node:
        case ast.Compare():
            return True
        case ast.BoolOp():
            return all(_is_condition(part, names) for part in node.values)
        case ast.UnaryOp(op=ast.Not()):
            return _is_condition(node.operand, names)
        case ast.Name(id=name):
            return name in names  # a bool parameter
    return False


def _value(node: ast.expr, params: Params) -> Any:  # noqa: PLR0911  # one line for each part of the grammar
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return _CONSTANTS[name] if name in _CONSTANTS else params[name]
        case ast.BinOp():
            return _BINARY[type(node.op)](_value(node.left, params), _value(node.right, params))
        case ast.UnaryOp():
            return _UNARY[type(node.op)](_value(node.operand, params))
        case ast.BoolOp(op=ast.And()):
            return all(_value(part, params) for part in node.values)
        case ast.BoolOp():
            return any(_value(part, params) for part in node.values)
        case ast.Compare():
            values = [_value(part, params) for part in (node.left, *node.comparators)]
            return all(_COMPARE[type(op)](a, b) for op, a, b in zip(node.ops, values[:-1], values[1:], strict=True))
        case ast.List() | ast.Tuple():
            return [_value(part, params) for part in node.elts]
        case ast.Call(func=ast.Name(id=name)):
            return FUNCTIONS[name](*(_value(part, params) for part in node.args))
    raise AssertionError(f"{node} passed _check")


def _violation(node: ast.expr, params: Params) -> float:
    match node:
        case ast.BoolOp(op=ast.And()):
            return sum(_violation(part, params) for part in node.values)
        case ast.BoolOp():
            return min(_violation(part, params) for part in node.values)
        case ast.Compare():
            values = [_value(part, params) for part in (node.left, *node.comparators)]
            return sum(
                _gap(op, a, b)
                for op, a, b in zip(node.ops, values[:-1], values[1:], strict=True)
                if not _COMPARE[type(op)](a, b)
            )
    return 0.0 if _value(node, params) else 1.0


def _gap(op: ast.cmpop, a: Any, b: Any) -> float:
    """How far a comparison that fails is from holding; 1 where there is no distance."""
    numbers = all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in (a, b))
    if numbers and isinstance(op, (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq)):
        return abs(float(a) - float(b))
    return 1.0
