"""Job files: YAML or JSON on disk, or a dictionary."""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tuning_service.client.errors import BadJobFile
from tuning_service.manager.job_yaml import BadYaml, Loader, read_yaml

# A file of one's own may be as large as the service takes it.
_MOST_NODES = 5_000_000


def load_job_file(path: Path | str) -> dict[str, Any]:
    """The document in a YAML or JSON file.

    Raises:
        BadJobFile: there is no such file, or it cannot be read; the message names line and column.
    """
    return read_job_file(path)[0]


def read_job_file(path: Path | str) -> tuple[dict[str, Any], Callable[[str], tuple[int, int] | None]]:
    """The same, and what tells line and column of a field: `space.lr.min`; None of one that is not there."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise BadJobFile(str(path), f"cannot be read: {reason}.", "Name a job file in YAML or JSON.") from error
    try:
        document = read_yaml(text, most_nodes=_MOST_NODES)
    except BadYaml as error:
        raise BadJobFile(str(path), f"is not YAML: {error}", error.remedy) from error
    if not isinstance(document.value, Mapping):
        raise BadJobFile(str(path), "holds no fields.", "Write name: value lines, as in examples/.")
    return dict(document.value), document.place


def load_points(path: Path | str) -> list[dict[str, Any]]:
    """The points in a YAML or JSON file: a list of them below `points`, as in a job file.

    Raises:
        BadJobFile: as for `load_job_file`, or there are none.
    """
    points = load_job_file(path).get("points")
    if not isinstance(points, list) or not all(isinstance(point, Mapping) for point in points):
        raise BadJobFile(str(path), "has no list of points.", "Write points: and below it - {lr: 0.1} lines.")
    return [dict(point) for point in points]


def parse_params(texts: Iterable[str]) -> dict[str, Any]:
    """One point from texts such as `lr=0.1`, whose values are read as in a job file.

    Raises:
        BadJobFile: one has no name or no value, or there are none.
    """
    point: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        try:
            point[name] = yaml.load(value, Loader=Loader)  # noqa: S506  # a SafeLoader
        except yaml.YAMLError:
            point[name] = value
        if not (name and equals) or point[name] is None:
            raise BadJobFile("param", f"{text!r} is no parameter with a value.", "Write --param lr=0.1.")
    if not point:
        raise BadJobFile("points", "there are none.", "Name a file with points, or write --param lr=0.1.")
    return point


def program_folder(document: Mapping[str, Any], base: Path, override: Path | str | None) -> Path | None:
    """The folder whose content is the job's program; None when the document names an uploaded one by digest.

    Raises:
        BadJobFile: it is no folder.
    """
    named = document.get("program") if override is None else override
    if override is None and isinstance(named, str) and re.fullmatch(r"[0-9a-f]{64}", named):
        return None
    if named is None:
        raise BadJobFile("program", "is missing.", "Name the folder with the training program.")
    folder = Path(str(named)).expanduser()
    folder = folder if folder.is_absolute() or override is not None else base / folder
    if not folder.is_dir():
        remedy = "It is relative to the job file." if override is None else "Name the training program's folder."
        raise BadJobFile("program", f"{folder} is no folder.", remedy)
    return folder
