"""Commands that start a Python program: `python train.py`, `python -u -m package.train`."""

from collections.abc import Sequence
from dataclasses import dataclass

_PYTHONS = frozenset({"python", "python3"})  # the names that the runner puts the environment's interpreter for
_WITH_VALUE = frozenset({"-W", "-X", "--check-hash-based-pycs"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonCall:
    """A call of the environment's interpreter, in its parts."""

    interpreter: str
    options: tuple[str, ...]  # of the interpreter
    module: bool  # `target` is a module, as after -m; else a file or a folder
    target: str
    arguments: tuple[str, ...]


def python_call(words: Sequence[str]) -> PythonCall | None:
    """The call that `words` are; None when they are none, or when the program stands in the command itself (-c)."""
    if not words or words[0] not in _PYTHONS:
        return None
    rest = list(words[1:])
    options: list[str] = []
    while rest and rest[0].startswith("-") and rest[0] != "-":
        option = rest.pop(0)
        short = not option.startswith(("--", "-W", "-X"))
        if short and "c" in option:
            return None
        if short and option.endswith("m"):
            options += [option[:-1]] if option != "-m" else []
            return _call(words[0], options, rest, module=True)
        options.append(option)
        if option in _WITH_VALUE and rest:
            options.append(rest.pop(0))
    return _call(words[0], options, rest, module=False)


def _call(interpreter: str, options: Sequence[str], rest: Sequence[str], *, module: bool) -> PythonCall | None:
    if not rest or rest[0] == "-":
        return None
    return PythonCall(
        interpreter=interpreter, options=tuple(options), module=module, target=rest[0], arguments=tuple(rest[1:])
    )
