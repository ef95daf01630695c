"""Job files: YAML or JSON on disk, or a dictionary."""

import re
from collections.abc import Iterable, Mapping
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
            point[name] = yaml.load(value, Loader=_Loader)  # noqa: S506  # a SafeLoader
        except yaml.YAMLError:
            point[name] = value
        if not (name and equals) or point[name] is None:
            raise BadJobFile("param", f"{text!r} is no parameter with a value.", "Write --param lr=0.1.")
    if not point:
        raise BadJobFile("points", "there are none.", "Name a file with points, or write --param lr=0.1.")
    return point


class _Dumper(yaml.SafeDumper):
    """Quotes each text that `_Loader` or a reader of YAML 1.1 would take for something else."""


_Dumper.yaml_implicit_resolvers = {
    first: [*yaml.SafeDumper.yaml_implicit_resolvers.get(first, []), *_Loader.yaml_implicit_resolvers.get(first, [])]
    for first in {*yaml.SafeDumper.yaml_implicit_resolvers, *_Loader.yaml_implicit_resolvers}
}


def job_file_of(job: Mapping[str, Any]) -> dict[str, Any]:
    """A job of the service's as the document that makes another one like it, without what is empty."""
    document = {name: value for name, value in job["spec"].items() if value not in (None, [], {})}
    for name in ("algorithm", "budget", "resources"):
        document[name] = {
            # A digest would pin a plug-in's content where its version is meant.
            key: value
            for key, value in document[name].items()
            if value not in (None, "", {}) and key != "digest"
        }
    return document


def job_file_text(document: Mapping[str, Any]) -> str:
    """`document` as YAML that `load_job_file` reads back equal."""
    lines = []
    for name, value in document.items():
        deep = name in {"space", "points", "constraints"}
        lines.append(
            yaml.dump(
                {name: _by_line(value) if deep else _Flow(value)},
                Dumper=_Dumper,
                sort_keys=False,
                allow_unicode=True,
                default_flow_style=False,
                width=10_000,
            )
        )
    return "".join(lines)


class _Flow:
    """Something that is written on one line."""

    def __init__(self, value: Any) -> None:
        self.value = value


def _represent_flow(dumper: _Dumper, flow: _Flow) -> yaml.Node:
    node = dumper.represent_data(flow.value)
    if isinstance(node, yaml.CollectionNode):
        node.flow_style = True
    return node


_Dumper.add_representer(_Flow, _represent_flow)


def _by_line(value: Any) -> Any:
    """Each item of a map or list on a line of its own."""
    if isinstance(value, Mapping):
        return {name: _Flow(item) for name, item in value.items()}
    return [_Flow(item) for item in value]


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
