"""Whether a constraint makes sense of its parameters: what is a number there, what a text, what true or false."""

import ast
from collections.abc import Mapping
from difflib import get_close_matches

from tuning_service.domain.errors import InvalidRequest
from tuning_service.domain.expressions import CONSTANTS, ORDER, Expression, is_name, unreadable
from tuning_service.domain.parameters import FloatParameter, IntParameter, Parameter, problem

_NUMBER = frozenset({"number"})
_TEXT = frozenset({"text"})


def check_kinds(expression: Expression, parameters: Mapping[str, Parameter], where: str) -> None:
    """Return quietly when some values of the parameters let every part of `expression` be computed.

    Raises:
        InvalidRequest: about the field `where`: it adds texts, compares a text with a number or with one that the
            parameter never is, or takes something else for true or false.
    """
    for name in sorted(expression.switches):
        choices = parameters[name].choices
        if choices is None or not all(isinstance(value, bool) for value in choices):
            message = f"{expression.text!r} takes {name} for true or false, which it is not."
            raise problem(where, message, f"Compare it: {name} > 0, say.")
    _Reader(expression, parameters, where).kinds(expression.tree)


class _Reader:
    def __init__(self, expression: Expression, parameters: Mapping[str, Parameter], where: str) -> None:
        self._expression, self._parameters, self._where = expression, parameters, where

    def kinds(self, node: ast.expr) -> frozenset[str]:  # noqa: C901  # one line for each part of the grammar
        """What the value of `node` can be."""
        match node:
            case ast.Constant(value=str()):
                return _TEXT
            case ast.Name(id=name) if name not in CONSTANTS:
                return self._kinds_of(self._parameters[name])
            case ast.BinOp():
                self._need_number(node.left, node.right)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd()):
                self._need_number(node.operand)
            case ast.UnaryOp():
                self.kinds(node.operand)
            case ast.Call():
                self._need_number(*node.args)
            case ast.BoolOp():
                for part in node.values:
                    self.kinds(part)
            case ast.Compare():
                left = node.left
                for op, right in zip(node.ops, node.comparators, strict=True):
                    self._compare(op, left, right)
                    left = right
        return _NUMBER

    def _kinds_of(self, parameter: Parameter) -> frozenset[str]:
        if isinstance(parameter, (FloatParameter, IntParameter)):
            return _NUMBER
        return frozenset("text" if isinstance(value, str) else "number" for value in parameter.values)

    def _need_number(self, *nodes: ast.expr) -> None:
        for node in nodes:
            if self.kinds(node) == _TEXT:
                raise self._mixed(f"{ast.unparse(node)} is no number")

    def _compare(self, op: ast.cmpop, left: ast.expr, right: ast.expr) -> None:
        others = right.elts if isinstance(right, (ast.List, ast.Tuple)) else [right]
        for other in others:
            kinds = self.kinds(left) & self.kinds(other)
            if not kinds:
                raise self._mixed(f"compares {ast.unparse(left)} with {ast.unparse(other)}, a text with a number")
            if type(op) not in ORDER:
                self._check_is(left, other)
                self._check_is(other, left)

    def _check_is(self, node: ast.expr, value: ast.expr) -> None:
        """A parameter that is compared with a text must be able to have it."""
        if not (isinstance(node, ast.Name) and is_name(node) and isinstance(value, ast.Constant)):
            return
        parameter = self._parameters[node.id]
        if isinstance(value.value, str) and not parameter.contains(value.value):
            texts = [v for v in parameter.choices or () if isinstance(v, str)]
            close = get_close_matches(value.value, texts, n=1)
            remedy = f"Did you mean {close[0]!r}?" if close else f"Use one of {texts}."
            raise problem(self._where, f"{node.id} never is {value.value!r}.", remedy)

    def _mixed(self, message: str) -> InvalidRequest:
        return unreadable(self._where, f"{self._expression.text!r} mixes kinds: {message}.")
