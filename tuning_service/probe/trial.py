"""The trial as its training sees it: what it shall use, and what it has measured."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any, NoReturn, SupportsFloat

_STDOUT = 1
_INFEASIBLE_CODE = 77  # as domain/trial.py has it: nothing but this folder is there when a training runs
_FOLDER = "TUNING_PROGRAM_DIR"  # set by the service: the training's working directory


def report(step: int | None = None, **metrics: SupportsFloat) -> None:
    """Report the values of metrics after `step`; without one, each metric counts its own reports.

    Values are anything that float() takes: numbers, NumPy and PyTorch scalars; nan and inf too. Of several processes
    that train together, only the first one's reports count (RANK, as torchrun sets it).

    The report is a line of JSON on the process's own standard output, written at once and in one piece: whatever the
    script has redirected, buffered, or printed without ending the line does no harm.
    """
    if os.environ.get("RANK", "0") != "0":
        return
    # By this mark the service knows that nothing before it on the line, of a print that did not end, belongs to it.
    values: dict[str, float | int] = {"probe": True} if _FOLDER in os.environ else {}
    if step is not None:
        values["step"] = int(step)
    values.update((name, float(value)) for name, value in metrics.items())
    _say(json.dumps(values))


def _say(line: str) -> None:
    if _FOLDER not in os.environ:
        print(line, flush=True)  # noqa: T201 - as a notebook shows it
        return
    with contextlib.suppress(AttributeError, ValueError):  # the script may have closed it, or put something else there
        sys.stdout.flush()
    data = f"{line}\n".encode()
    while data:
        data = data[os.write(_STDOUT, data) :]


def infeasible(reason: str = "") -> NoReturn:
    """End the program: this configuration cannot be trained, for `reason` (one line), and is not to be held for a bug.

    The same without this helper: print `infeasible: reason` and end with exit code 77.
    """
    _say(f"infeasible: {' '.join(reason.split())}")
    raise SystemExit(_INFEASIBLE_CODE)


def params(**defaults: Any) -> dict[str, Any]:
    """The trial's parameters with the types that the search space gives them, over `defaults`.

    Outside the service, and for parameters that this trial does not have, the defaults.
    """
    folder = os.environ.get(_FOLDER)
    if folder is None:
        return defaults
    try:
        text = (Path(folder) / "params.json").read_text(encoding="utf-8")
    except FileNotFoundError:  # of a framework that hands them over in another way
        return defaults
    return {**defaults, **json.loads(text)}


def checkpoint_dir() -> Path:
    """A folder for checkpoints, which is there: TUNING_CHECKPOINT_DIR, or `checkpoints` in the program's folder."""
    chosen = os.environ.get("TUNING_CHECKPOINT_DIR")
    folder = Path(chosen) if chosen else Path(os.environ.get(_FOLDER, "")) / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
