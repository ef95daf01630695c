"""Which Python a program gets on this executor, and whether that has what its framework needs."""

import contextlib
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tuning_service.domain.trial import LaunchPlan
from tuning_service.runner.environment import OWN, Interpreter
from tuning_service.runner.environments import EnvironmentCache, EnvironmentFault
from tuning_service.runner.tools import run_tool
from tuning_service.runner.training import CouldNotStart
from tuning_service.runner.workspace import Workspace, root

_CHECK_S = 120.0
_CHECK = """
import sys
try:
    from importlib.util import find_spec
except ImportError:
    sys.exit("it is older than Python 3.4")
print("missing:" + ",".join(name for name in sys.argv[1:] if find_spec(name) is None))
"""
_PACKAGES = {"google": "protobuf"}  # of modules that are not called like what one installs
_found: set[tuple[str, str, tuple[str, ...]]] = set()  # interpreter, PYTHONPATH, modules that it has


def _limit_bytes() -> int:
    """How much environments may take on the executor's disk: TUNING_ENVIRONMENTS_BYTES, 20 GiB."""
    return int(os.environ.get("TUNING_ENVIRONMENTS_BYTES", str(20 * 2**30)))


@dataclass(frozen=True, slots=True)
class _Choice:
    key: str
    make: Callable[[Path, Callable[[], None], Path], Path]
    complete: bool


@contextlib.contextmanager
def interpreter_of(plan: LaunchPlan, workspace: Workspace, beat: Callable[[], None]) -> Iterator[Interpreter]:
    """The Python for `plan`, made first where it has to be; it stays while the block runs.

    The program has been unpacked. `beat` is called several times a second meanwhile; what it raises passes.

    Raises:
        EnvironmentFault: the executor cannot give that environment.
        OSError: its disk does not allow it.
    """
    wanted = plan.interpreter
    if "python" in wanted:
        yield _named(wanted)
        return
    choice = _made(plan, workspace)
    if choice is None:
        yield OWN
        return
    cache = EnvironmentCache(root() / "environments", _limit_bytes(), beat)
    with cache.use(choice.key, lambda home: choice.make(home, beat, workspace.folder)) as made:
        yield Interpreter(python=str(made.python), home=made.home, complete=choice.complete)


def _made(plan: LaunchPlan, workspace: Workspace) -> _Choice | None:
    wanted = plan.interpreter
    # Imported where they are needed: urllib alone would double what the first task of a worker takes to start.
    if "requirements" in wanted:
        from tuning_service.runner.requirements import Requirements

        requirements = Requirements(workspace.program, wanted["requirements"], plan.program)
        return _Choice(requirements.key, requirements.make, complete=False)
    if "archive" in wanted:
        from tuning_service.runner.packed import PackedEnvironment

        packed = PackedEnvironment(wanted["archive"], _limit_bytes())
        return _Choice(packed.key, packed.make, complete=True)
    return None


def _named(wanted: Mapping[str, str]) -> Interpreter:
    name, python = wanted["name"], wanted["python"]
    if not python:
        raise EnvironmentFault(f"the deployment has no environment {name!r} any more")
    if not os.access(python, os.X_OK):
        raise EnvironmentFault(
            f"the environment {name!r} is not on {socket.gethostname()}: there is no {python} to run"
        )
    return Interpreter(python=python, home=Path(python).parent.parent, complete=True)


def check_modules(
    plan: LaunchPlan,
    interpreter: Interpreter,
    environment: Mapping[str, str],
    workspace: Workspace,
    beat: Callable[[], None],
) -> None:
    """Return quietly when `interpreter` has `plan.modules`, or the program brings them. Nothing of them is imported.

    Raises:
        EnvironmentFault: naming the host, the interpreter, and the remedy.
    """
    modules = tuple(name for name in plan.modules if not _is_in(workspace.program, name))
    key = (interpreter.python, environment.get("PYTHONPATH", ""), modules)
    if not modules or key in _found:
        return
    here = f"{interpreter.python} on {socket.gethostname()}"
    argv = [interpreter.python, "-c", _CHECK, *modules]
    try:
        end = run_tool(argv, environment, workspace.folder, beat, time_limit_s=_CHECK_S, remove=workspace.folder)
    except CouldNotStart as error:
        raise EnvironmentFault(f"{here} cannot be started: {error}") from error
    answers = [line for line in end.output.splitlines() if line.startswith("missing:")]
    if end.code or not answers:
        raise EnvironmentFault(f"{here} could not be asked for its modules", end.output[-4000:])
    missing = answers[-1].removeprefix("missing:")
    if missing:
        *others, last = (_PACKAGES.get(module, module) for module in missing.split(","))
        raise EnvironmentFault(interpreter.lacks(f"{', '.join(others)} and {last}" if others else last))
    _found.add(key)


def _is_in(program: Path, module: str) -> bool:
    return (program / module).is_dir() or (program / f"{module}.py").is_file()


__all__ = ["EnvironmentFault", "Interpreter", "check_modules", "interpreter_of"]
