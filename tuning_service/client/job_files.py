"""Job files: YAML or JSON on disk, or a dictionary."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tuning_service.client.errors import BadJobFile


class _Loader(yaml.SafeLoader):
    """YAML whose numbers are those of YAML 1.2 and JSON: `1e-4` is a number, `on` and `no` are words."""


# YAML 1.1 reads 1e-4 as text since it wants a dot and a sign, and reads "no" as false.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if not tag.endswith((":float", ":bool", ":timestamp"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"""^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?
        |[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+
        |[-+]?\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?
        |[-+]?\.(?:inf|Inf|INF)
        |\.(?:nan|NaN|NAN))$""",
        re.VERBOSE,
    ),
    list("-+0123456789."),
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def load_job_file(path: Path | str) -> dict[str, Any]:
    """The document in a YAML or JSON file.

    Raises:
        BadJobFile: there is no such file, or it cannot be read; the message names line and column.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise BadJobFile(str(path), f"cannot be read: {reason}.", "Name a job file in YAML or JSON.") from error
    try:
        document = yaml.load(text, Loader=_Loader)  # noqa: S506  # a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise BadJobFile(str(path), f"is not YAML{where}: {problem}.", "Correct it there.") from error
    if not isinstance(document, Mapping):
        raise BadJobFile(str(path), "holds no fields.", "Write name: value lines, as in examples/.")
    return dict(document)


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
