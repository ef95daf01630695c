"""An environment from a requirements file of the program: a venv over the executor's own packages."""

import codecs
import hashlib
import json
import os
import re
import site
import socket
import sys
import sysconfig
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from tuning_service.runner.environment import training_environment
from tuning_service.runner.environments import EnvironmentFault, install_s
from tuning_service.runner.tools import ToolEnd, run_tool
from tuning_service.runner.venvs import for_pip, pip_install_command, python_in, show_packages, venv_command

_LAST_LINES = 25
_LONGEST_LINE = 500
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_DEEPEST = 10  # files that include files
_INCLUDED = re.compile(r"\s*(?:-[rc]=?\s*|--(?:requirement|constraint)[=\s]\s*)(?P<path>\S+)")
_LOCAL = re.compile(r"\s*(?:(?:-e|--editable)[=\s]\s*)?(?:\.{0,2}/|\.{1,2}(?:\s|\[|$)|file:|.*@\s*file:)")
_EDITABLE = re.compile(r"\s*(?:-e|--editable)[=\s]\s*(?!\w+\+|https?:)")


class Requirements:
    """A requirements file in the unpacked program: what it asks for, and the making of that."""

    def __init__(self, program: Path, name: str, digest: str) -> None:
        """`digest` is the program's.

        Raises:
            EnvironmentFault: there is no such file, or what it asks for cannot be shared by tasks.
        """
        self._program = program
        self._name = name
        texts = dict(_texts(program, name))
        lines = [line for text in texts.values() for line in text.splitlines()]
        folders = {program, *((program / one).parent for one in texts)}
        if editable := next((line.strip() for line in lines if _EDITABLE.match(line)), ""):
            raise EnvironmentFault(
                f"{name} has {editable!r}: an environment outlives the task's folder, so write the path without -e"
            )
        # What is installed out of the program's own folder belongs to this program alone.
        owner = digest if any(_is_local(line, folders) for line in lines) else ""
        facts = [texts, owner, sys.version, sysconfig.get_platform(), sys.prefix, _seen_packages()]
        self.key = "pip-" + hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]

    def make(self, home: Path, beat: Callable[[], None], remove: Path) -> Path:
        """The interpreter of a new environment in `home`. `beat` and `remove` are as for `run_tool`.

        Raises:
            EnvironmentFault: with pip's last lines.
        """
        environment = for_pip(training_environment(os.environ, {}, (), remove))
        deadline_s = install_s()

        def run(what: str, argv: Sequence[str]) -> None:
            end = run_tool(argv, environment, self._program, beat, time_limit_s=deadline_s, remove=remove)
            if end.code or end.code is None:
                raise _failed(what, end, deadline_s)

        run("python -m venv", venv_command(home))
        show_packages(home, _seen_packages())
        run(f"pip install -r {self._name}", pip_install_command(home, "-r", self._name))
        return python_in(home)


def _texts(program: Path, name: str, depth: int = 0) -> Iterator[tuple[str, str]]:
    """The requirements file and those that it includes, as far as they are in the program."""
    root = program.resolve()
    path = (program / name).resolve()
    if not path.is_relative_to(root):
        raise EnvironmentFault(f"{name} leads out of the program's folder")
    if depth > _DEEPEST:
        raise EnvironmentFault(f"{name} includes itself, or files that include others more than {_DEEPEST} deep")
    try:
        text = _decoded(path.read_bytes())
    except OSError as error:
        raise EnvironmentFault(f"{name} cannot be read from the program: {error.strerror}") from error
    yield name, text
    for line in text.splitlines():
        included = _INCLUDED.match(line)
        if included and "://" not in included["path"]:
            inner = os.path.normpath(os.path.join(os.path.dirname(name), included["path"]))  # noqa: PTH118, PTH120
            yield from _texts(program, inner, depth + 1)


def _decoded(data: bytes) -> str:
    """As pip reads it: editors, and shells of Windows, write UTF-16 with a mark."""
    encoding = next((encoding for mark, encoding in _MARKS.items() if data.startswith(mark)), "utf-8")
    return data.decode(encoding, errors="replace")


def _is_local(line: str, folders: Collection[Path]) -> bool:
    """True when pip would look into the program's folder for what `line` says, as for `libs/mylib` or `-f wheels`."""
    if _INCLUDED.match(line):  # its text counts
        return False
    words = re.split(r"[\s=;\[]+", line.partition(" #")[0])
    # Not of Path, which raises for a name that is too long.
    found = (os.path.exists(os.path.join(folder, word)) for word in words if word for folder in folders)  # noqa: PTH110, PTH118
    return bool(_LOCAL.match(line)) or any(found)


def _seen_packages() -> list[str]:
    user = [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    return [*site.getsitepackages(), *user]


def _failed(what: str, end: ToolEnd, deadline_s: float) -> EnvironmentFault:
    lines = [line.rstrip()[:_LONGEST_LINE] for line in end.output.splitlines() if line.strip()]
    errors = [line for line in lines if line.lstrip().startswith(("ERROR", "error:"))]
    said = (errors or lines or [""])[0 if errors else -1].strip()
    if said == "ERROR: Exception:":  # pip's own, with a traceback, whose last line says which
        said = lines[-1].strip()
    if end.timed_out:
        said = f"not finished within {deadline_s:g} s"
    elif end.code is None:
        said = "it was killed"
    reason = f"{what} failed on {socket.gethostname()}: {said or f'exit code {end.code}'}"
    return EnvironmentFault(reason[:_LONGEST_LINE], "\n".join(lines[-_LAST_LINES:]))
