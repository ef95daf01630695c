"""Names in prototxt templates that wait for values, and parameters that would suit them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from tuning_service.caffe.schema import MESSAGES
from tuning_service.runner.templates import ENUM_FIELDS, place, words

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_TOKEN = re.compile(r"\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|#[^\n]*|(?P<field>\w+)\s*:?\s*(?=\{)|[{}]")
_FIELD_BEFORE = re.compile(r"(\w+)\s*:\s*(?:\[[^\]\[]*)?$")
_NUMBERED = re.compile(r"(_\w)?(_\d+)*$")
_NO_NAMES = frozenset({"true", "false", "t", "f", "True", "False", "inf", "nan", "infinity"})
_MOST = 1000  # places that are told of one program
_MOST_CHARACTERS = 4 * 2**20  # that are looked at


def _log(low: float, high: float) -> dict[str, Any]:
    return {"type": "float", "min": low, "max": high, "scale": "log"}


def _linear(low: float, high: float) -> dict[str, Any]:
    return {"type": "float", "min": low, "max": high}


def _powers(low: int, high: int) -> dict[str, Any]:
    return {"type": "int", "min": low, "max": high, "scale": "pow2"}


def _whole(low: int, high: int, step: int = 1) -> dict[str, Any]:
    return {"type": "int", "min": low, "max": high} | ({"step": step} if step > 1 else {})


def _choice(*values: str) -> dict[str, Any]:
    return {"type": "categorical", "values": list(values)}


# What is worth searching, by field; where a field is known in several messages, all of them mean the same to a search.
_USUAL: Mapping[str, dict[str, Any]] = {
    "base_lr": _log(1e-4, 1e-1),
    "momentum": _linear(0.5, 0.99),
    "momentum2": _linear(0.9, 0.9999),
    "rms_decay": _linear(0.9, 0.999),
    "delta": _log(1e-10, 1e-6),
    "weight_decay": _log(1e-6, 1e-2),
    "lr_mult": _log(0.1, 10),
    "decay_mult": _linear(0, 2),
    "gamma": _log(1e-4, 0.9),
    "power": _linear(0.5, 1),
    "clip_gradients": _log(0.1, 100),
    "stepsize": {"type": "int", "min": 100, "max": 10_000, "scale": "log"},
    "max_iter": {"type": "int", "min": 100, "max": 10_000, "scale": "log"},
    "iter_size": _powers(1, 8),
    "batch_size": _powers(16, 256),
    "num_output": _powers(8, 128),
    "kernel_size": _whole(1, 7, 2),
    "kernel_h": _whole(1, 7, 2),
    "kernel_w": _whole(1, 7, 2),
    "stride": _whole(1, 3),
    "pad": _whole(0, 3),
    "dilation": _whole(1, 3),
    "group": _powers(1, 4),
    "local_size": _whole(3, 7, 2),
    "alpha": _log(1e-5, 1e-1),
    "beta": _linear(0.5, 1),
    "dropout_ratio": _linear(0.1, 0.7),
    "negative_slope": _log(1e-3, 0.3),
    "std": _log(1e-4, 1e-1),
    "lr_policy": _choice("fixed", "inv", "step", "poly"),
    "solver_type": _choice("SGD", "ADAM", "ADAGRAD", "NESTEROV", "RMSPROP"),
    "pool": _choice("MAX", "AVE"),
    "mirror": {"type": "bool"},
}
_SOLVERS = _choice("SGD", "Adam", "AdaGrad", "Nesterov", "RMSProp")
_FILLERS = _choice("xavier", "msra", "gaussian")
# What people call them otherwise.
_CALLED = {
    "lr": "base_lr",
    "learning_rate": "base_lr",
    "dropout": "dropout_ratio",
    "kernel": "kernel_size",
    "decay": "weight_decay",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Placeholder:
    """A name that stands for a value. `field` takes the value, in `block`, "" for the file itself.

    `parameter` is an entry of a job file's space that would suit it; None when nothing is known.
    """

    name: str
    file: str
    line: int
    column: int
    field: str
    block: str
    parameter: Mapping[str, Any] | None


def find_placeholders(texts: Mapping[str, str]) -> list[Placeholder]:
    """Those of all prototxt `texts`, by file, in their order. A file that is not prototxt has none that make sense."""
    found: list[Placeholder] = []
    left = _MOST_CHARACTERS
    for file, text in sorted(texts.items()):
        left -= len(text)
        if left < 0:
            break
        for name, offset, block in _in_blocks(text):
            before = _FIELD_BEFORE.search(text, max(0, offset - 200), offset)
            # Elsewhere than in a value's place the file is no prototxt, or is broken.
            if before is None or name in _NO_NAMES or name in _choices(before[1]) or not _NAME.fullmatch(name):
                continue
            line, column = place(text, offset)
            found.append(
                Placeholder(
                    name=name,
                    file=file,
                    line=line,
                    column=column,
                    field=before[1],
                    block=block,
                    parameter=_parameter(name, before[1], block),
                )
            )
            if len(found) >= _MOST:
                return found
    return found


def _in_blocks(text: str) -> Iterator[tuple[str, int, str]]:
    """Words that a parameter could replace, with their offsets and the block that they stand in."""
    blocks = list(_blocks(text))
    number = 0
    for name, offset in words(text):
        while number + 1 < len(blocks) and blocks[number + 1][0] <= offset:
            number += 1
        yield name, offset, blocks[number][1]


def _blocks(text: str) -> Iterator[tuple[int, str]]:
    """From which offset on the text is inside which block, the innermost by its name."""
    stack = [""]
    yield 0, ""
    opening = ""
    for match in _TOKEN.finditer(text):
        if match["field"]:
            opening = match["field"]
        elif match[0] == "{":
            stack.append(opening)
            yield match.end(), opening
        elif match[0] == "}" and len(stack) > 1:
            stack.pop()
            yield match.end(), stack[-1]


def _parameter(name: str, field: str, block: str) -> Mapping[str, Any] | None:
    plain = _NUMBERED.sub("", name.lower())
    called = [field, _CALLED.get(field, ""), plain, _CALLED.get(plain, ""), _NUMBERED.sub("", plain)]
    if field == "type":
        return _FILLERS if block.endswith("filler") else None if block else _SOLVERS
    values = _choices(field) if field in ENUM_FIELDS else ()
    for candidate in called:
        if candidate in _USUAL and not (values and candidate != field):
            return _USUAL[candidate]
    if len(values) > 1:
        return _choice(*values)
    kinds = _kinds(field)
    if "bool" in kinds:
        return {"type": "bool"}
    if "int" in kinds:
        return _powers(1, 16)
    return _linear(0, 1) if "float" in kinds else None


@cache
def _fields() -> Mapping[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for message in MESSAGES.values():
        for field in message.DESCRIPTOR.fields:
            found.setdefault(field.name, []).append(field)
    return found


@lru_cache(maxsize=512)
def _choices(field: str) -> tuple[str, ...]:
    enums = (known.enum_type for known in _fields().get(field, ()) if known.enum_type)
    return tuple(dict.fromkeys(value.name for enum in enums for value in enum.values))


def _kinds(field: str) -> set[str]:
    names = {
        **dict.fromkeys(("CPPTYPE_INT32", "CPPTYPE_INT64", "CPPTYPE_UINT32", "CPPTYPE_UINT64"), "int"),
        **dict.fromkeys(("CPPTYPE_FLOAT", "CPPTYPE_DOUBLE"), "float"),
        "CPPTYPE_BOOL": "bool",
    }
    known = _fields().get(field, ())
    return {kind for one in known for name, kind in names.items() if one.cpp_type == getattr(one, name)}
