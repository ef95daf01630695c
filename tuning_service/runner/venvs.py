"""Virtual environments that see the packages of the interpreter that makes them behind their own.

So nothing that it has in the right version, a framework above all, is fetched again.
"""

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

# They would have pip install somewhere else than into the environment.
_NOT_FOR_PIP = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_REQUIRE_VIRTUALENV", "PYTHONHOME")
_PLAIN = ("--no-input", "--no-warn-script-location", "--disable-pip-version-check", "--progress-bar", "off")


def python_in(home: Path) -> Path:
    """The interpreter of the environment in `home`."""
    return home / "bin" / "python"


def venv_command(home: Path) -> list[str]:
    """Makes an environment in `home`, which needs `show_packages` next."""
    # The maker's own pip, where there is one, saves the seconds that another one takes.
    without = ["--without-pip"] if _has_pip() else []
    return [sys.executable, "-m", "venv", "--system-site-packages", *without, str(home)]


def show_packages(home: Path, folders: Sequence[str]) -> None:
    """A venv made from a venv sees the packages of neither: those in `folders` come behind the new ones."""
    (packages,) = home.glob("lib/python*/site-packages")
    lines = [f"import site; site.addsitedir({folder!r})" for folder in folders]
    (packages / "makers_packages.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")


def pip_install_command(home: Path, *arguments: str) -> list[str]:
    """Installs into the environment in `home`; run it with `for_pip` of the environment variables."""
    python = str(python_in(home))
    pip = [sys.executable, "-m", "pip", "--python", python] if _has_pip() else [python, "-m", "pip"]
    return [*pip, "install", *_PLAIN, "--no-color", *arguments]


def for_pip(variables: Mapping[str, str]) -> dict[str, str]:
    """Without those that lead pip elsewhere."""
    return {name: value for name, value in variables.items() if name not in _NOT_FOR_PIP}


def _has_pip() -> bool:
    return importlib.util.find_spec("pip") is not None
