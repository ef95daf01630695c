"""Artifacts: files that a training leaves for its user."""

from dataclasses import dataclass

MOST_FILES = 1000  # of one execution
_LONGEST_PATH = 512
_LONGEST_NAME = 255  # bytes, of a part: what file systems take


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One stored file; `path` is relative, with slashes, as `path_problem` has it."""

    path: str
    bytes: int
    sha256: str
    created_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactRoom:
    """What an execution may still store; `why` says of no room at all how that is, else of what the bytes are left."""

    bytes: int
    files: int
    why: str = ""


def path_problem(path: str) -> str:
    """What is wrong with a path that files are to be kept under and downloaded to, anywhere; "" when nothing is."""
    try:
        names = [name.encode() for name in path.split("/")]
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    if len(path) > _LONGEST_PATH or any(len(name) > _LONGEST_NAME for name in names):
        return "its name is too long"
    if any(name in {b"", b".", b".."} for name in names):
        return "its path is not a plain relative one"
    if "\\" in path or not path.isprintable():
        return "there are characters in its name that cannot be kept"
    return ""
