"""Which Python a program runs in."""

import posixpath
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

from tuning_service.domain.errors import FieldProblem, InvalidRequest

_SCHEMES = ("https", "http", "file")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramEnvironment:
    """One of three ways to name an environment; none of them given is the executor's own Python."""

    name: str = ""  # one that the deployment has named
    requirements: str = ""  # file of the program, as `pip install -r` reads it: a relative POSIX path, normalised
    archive: str = ""  # URL of an environment packed with venv-pack or conda-pack

    def __post_init__(self) -> None:
        given = list(self.to_dict())
        if len(given) > 1:
            raise _refused("environment", f"has {' and '.join(given)}.", "Give one of them.")
        path = posixpath.normpath(self.requirements) if self.requirements else ""
        if path.startswith(("/", "..")) or path == ".":
            message = f"{self.requirements!r} is no file in the program's folder."
            raise _refused("environment.requirements", message, "Write: requirements.txt")
        object.__setattr__(self, "requirements", path)
        if self.archive and not _is_url(self.archive):
            message = f"{self.archive!r} is no URL that an environment could be fetched from."
            raise _refused("environment.archive", message, "Write https://…, http://… or file:///…")

    def to_dict(self) -> dict[str, str]:
        """What is given, as it stands in a job file."""
        return {name: value for name, value in asdict(self).items() if value}


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in _SCHEMES and bool(parts.path if parts.scheme == "file" else parts.hostname)


def _refused(field: str, message: str, remedy: str) -> InvalidRequest:
    return InvalidRequest(FieldProblem(field=field, message=message, remedy=remedy))
