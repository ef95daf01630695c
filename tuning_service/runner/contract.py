"""What scripts find around them that were written for the older product: folders, variables, `config.json`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SEARCHED = ("RESULT_DIR", "LOG_DIR")  # where measurements are looked for, beside the working directory


def script_folders(folder: Path) -> dict[str, Path]:
    """The folders by the variables that name them, made within the task's `folder`. Raises OSError."""
    folders = {"RESULT_DIR": folder / "result", "LOG_DIR": folder / "log", "JOB_STATE_DIR": folder / "state"}
    for path in folders.values():
        path.mkdir(exist_ok=True)
    return folders


def script_environment(
    base: Mapping[str, str], added: Mapping[str, str], folders: Mapping[str, Path], context: Mapping[str, str]
) -> dict[str, str]:
    """The variables of such scripts, for a plan with that `context` and the variables `added`.

    Where the data are is said by TUNING_DATA_DIR in the executor's environment `base`, or else by `added`, or by a
    DATA_DIR or DLI_DATA_FS of the executor's own.
    """
    own = added.get("DATA_DIR") or base.get("DATA_DIR") or base.get("DLI_DATA_FS", "")
    data = base.get("TUNING_DATA_DIR") or own
    variables = {name: str(path) for name, path in folders.items()}
    variables |= {
        "TRAINING_ID": context.get("job", ""),
        "SUBID": context.get("trial", ""),
        "DLI_EXECID": context.get("task", ""),
    }
    if data:
        variables |= {"DATA_DIR": data, "DLI_DATA_FS": data}
    return variables


def merge_objects(folder: Path, merged: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Write the objects of a plan's `merged` over those in the program's files of these names.

    A file that holds anything but a JSON object stays as it is. What was left so is told, a line for each.

    Raises:
        OSError: the disk does not allow it.
    """
    told = []
    for name, values in merged.items():
        path = folder / name
        found: Any = {}
        if path.exists():
            try:
                found = json.loads(path.read_text(encoding="utf-8-sig"))
            except (ValueError, RecursionError):
                found = None
            except OSError:
                found = None  # a folder of that name, say
        if not isinstance(found, dict):
            told.append(f"{name} of the program is no JSON object: it was left as it is, without the parameters")
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # a link of the program's must not say where this goes
        path.write_text(json.dumps({**found, **values}, indent=2) + "\n", encoding="utf-8")
    return told
