"""The examples that come with the service: folders with a job.yaml and the program that it tunes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tuning_service.domain.errors import NotFound
from tuning_service.manager.job_yaml import read_yaml
from tuning_service.runner import bundle

_PACKAGE = Path(__file__).resolve().parents[1]
_JOB_FILE = "job.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """`file` is its job file, whose `program` is to be replaced by the uploaded one's digest; `yaml` as it is written.

    `title` and `description` are the heading and the first paragraph of its README.
    """

    name: str
    title: str
    description: str
    framework: str
    file: dict[str, Any]
    yaml: str
    files: Sequence[str]


def examples() -> Sequence[Example]:
    """All, by name."""
    return [example(name) for name in sorted(_folders())]


def example(name: str) -> Example:
    """Raises NotFound."""
    folder = _folder(name)
    text = (folder / _JOB_FILE).read_text(encoding="utf-8")
    document = read_yaml(text).value
    title, description = _about(folder)
    return Example(
        name=name,
        title=title or name,
        description=description,
        framework=str(document["framework"]),
        file=document,
        yaml=text,
        files=bundle.list_files(packed_example(name)),
    )


def packed_example(name: str) -> bytes:
    """The archive of the example's program, as an upload brings one. Raises NotFound."""
    return bundle.pack(_folder(name))


def _folder(name: str) -> Path:
    folders = _folders()
    if name not in folders:
        raise NotFound(f"There is no example {name!r}.")
    return folders[name]


@cache
def _folders() -> dict[str, Path]:
    checkout = _PACKAGE.parent / "examples"
    # In an installed wheel the folder lies inside the package.
    root = checkout if checkout.is_dir() else _PACKAGE / "_examples"
    return {path.parent.name: path.parent for path in sorted(root.glob(f"*/{_JOB_FILE}"))}


def _about(folder: Path) -> tuple[str, str]:
    readme = folder / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    title = re.search(r"^# +(.+)$", text, re.MULTILINE)
    rest = text[title.end() :] if title else text
    paragraph = next((part.strip() for part in rest.split("\n\n") if part.strip()), "")
    return title[1].strip() if title else "", " ".join(paragraph.replace("`", "").split())
