"""Constraints over parameters as small expressions: `width * depth <= 4096`, `optimizer != 'sgd' or lr < 0.1`.

The grammar is a part of Python's: numbers, texts, true and false, parameters' names, + - * / // % **, comparisons
(chained ones too), `in` a list, and, or, not, and the functions below. All numbers are doubles, true is 1 and false 0.
It is parsed by `ast` and walked here; nothing is ever handed to Python's own evaluation.
"""

import ast
import keyword
import math
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tuning_service.domain.errors import FieldProblem, InvalidRequest
from tuning_service.domain.parameters import Params

_MOST_CHARACTERS = 500
_MOST_NODES = 200
_MOST_DEPTH = 40
_LARGEST = 1e300

# With the least and the greatest number of arguments.
FUNCTIONS: dict[str, tuple[Callable[..., float], int, int]] = {
    "abs": (abs, 1, 1),
    "ceil": (math.ceil, 1, 1),
    "exp": (math.exp, 1, 1),
    "floor": (math.floor, 1, 1),
    "log": (math.log, 1, 2),
    "log10": (math.log10, 1, 1),
    "log2": (math.log2, 1, 1),
    "max": (max, 2, 20),
    "min": (min, 2, 20),
    "round": (round, 1, 1),
    "sqrt": (math.sqrt, 1, 1),
}
CONSTANTS: dict[str, bool] = {"true": True, "false": False, "True": True, "False": False}
# Names that no parameter may have beside constraints, which would read something else there.
RESERVED = frozenset({"and", "or", "not", "in", *CONSTANTS})
BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
ORDER: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = ORDER | {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
# What a value cannot be computed for: x / 0, sqrt(-1), 'a' + 1.
_CANNOT = (ArithmeticError, ValueError, TypeError)
_TOKEN = re.compile(
    r"""\s+ | (?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]) | (?P<word>[A-Za-z_]\w*)
    | '[^'\\\n]*' | "[^"\\\n]*" | \*\* | // | [<>=!]= | [-+*/%<>()\[\],]""",
    re.VERBOSE | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Expression:
    """A condition over parameters. Equal when the texts are."""

    text: str
    names: frozenset[str] = field(compare=False)  # the parameters that it mentions
    switches: frozenset[str] = field(compare=False)  # those that stand for true or false: `not nesterov`
    tree: ast.expr = field(compare=False, repr=False)

    @classmethod
    def parse(cls, text: str, where: str) -> "Expression":
        """The expression that `text` is.

        Raises:
            InvalidRequest: about the field `where`: no expression of this grammar, or one that can be no condition.
        """
        if len(text) > _MOST_CHARACTERS:
            raise unreadable(where, f"is longer than {_MOST_CHARACTERS} characters.")
        _check_tokens(text, where)
        try:
            tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            column = f" at column {error.offset}" if isinstance(error, SyntaxError) and error.offset else ""
            raise unreadable(where, f"{text!r} cannot be read{column}.") from None
        if sum(1 for _ in ast.walk(tree)) > _MOST_NODES or _depth(tree) > _MOST_DEPTH:
            raise unreadable(where, "has too many parts.")
        names: set[str] = set()
        switches: set[str] = set()
        _check_condition(tree, names, switches, where)
        if not names:
            raise unreadable(where, f"{text!r} mentions no parameter.")
        return cls(text, frozenset(names), frozenset(switches), tree)

    def holds(self, params: Params) -> bool:
        """True when the condition is met, or mentions a parameter that `params` lacks (an inactive one).

        What cannot be computed (a division by zero, the log of a negative number, more than a double holds) is not met.
        """
        if not self.names <= params.keys():
            return True
        try:
            return bool(_value(self.tree, params))
        except _CANNOT:
            return False

    def violation(self, params: Params) -> float:
        """0 when it holds; else how far `params` is from that, in whatever unit the comparison has."""
        return 0.0 if self.holds(params) else min(_LARGEST, max(_violation(self.tree, params), 1e-12))


def unreadable(where: str, message: str) -> InvalidRequest:
    """An error about the expression in the field `where`."""
    remedy = f"Write a condition such as 'width * depth <= 4096'. Functions: {', '.join(FUNCTIONS)}."
    return InvalidRequest(FieldProblem(field=where, message=message, remedy=remedy))


def is_name(node: ast.expr) -> bool:
    """True when `node` is a parameter's name."""
    return isinstance(node, ast.Name) and node.id not in CONSTANTS


# -- reading


def _check_tokens(text: str, where: str) -> None:
    # First, since Python's own reader knows more than this grammar and warns about some of it on standard error.
    place = 0
    while place < len(text):
        token = _TOKEN.match(text, place)
        if token is None:
            raise unreadable(where, f"{text!r} cannot be read at column {place + 1}.")
        word = token["word"]
        if word and keyword.iskeyword(word) and word not in RESERVED:
            raise unreadable(where, f"the word {word!r} cannot stand in a condition.")
        place = token.end()


def _depth(tree: ast.expr) -> int:
    level: list[ast.AST] = [tree]
    depth = 0
    while level:
        depth += 1
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    return depth


def _check_condition(node: ast.expr, names: set[str], switches: set[str], where: str) -> None:
    """Collect the names in `node`, which must be of this grammar throughout and be true or false."""
    match node:
        case ast.BoolOp():
            for part in node.values:
                _check_condition(part, names, switches, where)
        case ast.UnaryOp(op=ast.Not()):
            _check_condition(node.operand, names, switches, where)
        case ast.Compare():
            _check_comparison(node, names, switches, where)
        case ast.Name(id=name):
            names |= {name} - CONSTANTS.keys()
            switches |= {name} - CONSTANTS.keys()
        case ast.Constant(value=bool()):
            pass
        case _:
            raise unreadable(where, f"{ast.unparse(node)!r} is no condition: it is neither true nor false.")


def _check_comparison(node: ast.Compare, names: set[str], switches: set[str], where: str) -> None:
    _check_value(node.left, names, switches, where)
    for op, right in zip(node.ops, node.comparators, strict=True):
        ends_here = right is node.comparators[-1]
        if type(op) not in _COMPARE or (isinstance(op, (ast.In, ast.NotIn)) and not ends_here):
            raise unreadable(where, f"{ast.unparse(node)!r} is not part of this grammar.")
        parts: Sequence[ast.expr] = [right]
        if isinstance(op, (ast.In, ast.NotIn)):
            if not isinstance(right, (ast.List, ast.Tuple)):
                raise unreadable(where, f"{ast.unparse(right)!r} is no list: write x in [1, 2].")
            parts = right.elts
        for part in parts:
            _check_value(part, names, switches, where)


def _check_value(node: ast.expr, names: set[str], switches: set[str], where: str) -> None:  # noqa: C901  # the same
    """The same of a number or a text."""
    parts: Sequence[ast.expr] = []
    match node:
        case ast.Name(id=name):
            names |= {name} - CONSTANTS.keys()
        case ast.Constant(value=bool() | str()):
            pass
        case ast.Constant(value=int() | float() as value):
            if value > _LARGEST:
                raise unreadable(where, "has a number that is too large.")
        case ast.BinOp(op=op) if type(op) in BINARY:
            parts = [node.left, node.right]
        case ast.UnaryOp(op=ast.USub() | ast.UAdd()):
            parts = [node.operand]
        case ast.Call(func=ast.Name(id=name), keywords=[]) if name in FUNCTIONS:
            _, least, most = FUNCTIONS[name]
            if not least <= len(node.args) <= most:
                takes = str(least) if least == most else f"{least} to {most}"
                raise unreadable(where, f"{name} is given {len(node.args)} numbers; it takes {takes}.")
            parts = node.args
        case ast.Compare() | ast.BoolOp() | ast.UnaryOp(op=ast.Not()):  # as a number: (a > 1) + (b > 1) <= 1
            _check_condition(node, names, switches, where)
        case _:
            raise unreadable(where, f"{ast.unparse(node)!r} is not part of this grammar.")
    for part in parts:
        _check_value(part, names, switches, where)


# -- computing


def _value(node: ast.expr, params: Params) -> Any:  # noqa: C901, PLR0911, PLR0912  # one line for each part of the grammar
    match node:
        case ast.Constant(value=str() as text):
            return text
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=name):
            value = CONSTANTS[name] if name in CONSTANTS else params[name]
            return value if isinstance(value, str) else float(value)
        case ast.BinOp():
            return _finite(BINARY[type(node.op)](_number(node.left, params), _number(node.right, params)))
        case ast.UnaryOp(op=ast.Not()):
            return not _value(node.operand, params)
        case ast.UnaryOp():
            operand = _number(node.operand, params)
            return -operand if isinstance(node.op, ast.USub) else operand
        case ast.BoolOp(op=ast.And()):
            return all(_value(part, params) for part in node.values)
        case ast.BoolOp():
            return any(_value(part, params) for part in node.values)
        case ast.Compare():
            left = _value(node.left, params)
            for op, part in zip(node.ops, node.comparators, strict=True):
                right = _value(part, params)
                if not _COMPARE[type(op)](left, right):
                    return False
                left = right
            return True
        case ast.List() | ast.Tuple():
            return [_value(part, params) for part in node.elts]
        case ast.Call(func=ast.Name(id=name)):
            return _finite(FUNCTIONS[name][0](*(_number(part, params) for part in node.args)))
    raise AssertionError(f"{node} passed the check")


def _number(node: ast.expr, params: Params) -> float:
    value = _value(node, params)
    if isinstance(value, str):
        raise TypeError("text is not a number")  # Python would repeat or join it
    return float(value)


def _finite(value: Any) -> float:
    if isinstance(value, complex) or not math.isfinite(value):
        raise OverflowError
    return float(value)


def _violation(node: ast.expr, params: Params) -> float:
    """How far a condition is from holding, where one that cannot be computed is as far as can be."""
    match node:
        case ast.BoolOp(op=ast.And()):
            return sum(_violation(part, params) for part in node.values)
        case ast.BoolOp():
            return min(_violation(part, params) for part in node.values)
    try:
        if isinstance(node, ast.Compare):
            values = [_value(part, params) for part in (node.left, *node.comparators)]
            return sum(
                _gap(op, a, b)
                for op, a, b in zip(node.ops, values[:-1], values[1:], strict=True)
                if not _COMPARE[type(op)](a, b)
            )
        return 0.0 if _value(node, params) else 1.0
    except _CANNOT:
        return _LARGEST


def _gap(op: ast.cmpop, a: Any, b: Any) -> float:
    """How far a comparison that fails is from holding; 1 where there is no distance."""
    if isinstance(a, float) and isinstance(b, float) and not isinstance(op, ast.NotEq):
        return abs(a - b)
    return 1.0
