"""What can be known of a command before it runs: is the file that it names in the program?"""

import difflib
import posixpath
import re
import shlex
from collections.abc import Collection, Iterator, Sequence

from tuning_service.domain.errors import FieldProblem

_PYTHON = re.compile(r"python[\d.]*")
_SHELLS = frozenset({"sh", "bash", "dash", "zsh"})
_OPERATORS = frozenset({"&&", "||", "|", ";", ">", ">>", "<", "&", "2>&1"})
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_PYTHON_WITH_VALUE = frozenset({"-W", "-X", "--check-hash-based-pycs"})
_SCRIPT = (".py", ".sh")


def split_command(command: str) -> tuple[str, ...]:
    """The words of a command, quotes resolved. Raises ValueError when a quote is not closed."""
    return tuple(shlex.split(command))


def command_problems(command: str, files: Collection[str]) -> list[FieldProblem]:
    """What keeps `command` from starting in a folder that holds `files`; empty when nothing is known to."""
    try:
        words = split_command(command)
    except ValueError as error:
        return [_problem(f"cannot be split into words: {str(error).lower()}.", "Close each quote.")]
    if not words:
        return [_problem("is empty.", "Write what starts the training, as in: python train.py")]
    if operators := [word for word in words if word in _OPERATORS]:
        remedy = "Put the steps into a script and run that, as in: sh run.sh"
        return [_problem(f"has a shell's {operators[0]}, and is not run by a shell.", remedy)]
    if _ASSIGNMENT.match(words[0]):
        return [_problem(f"begins with the assignment {words[0]}, for a shell.", f"Write: env {command.strip()}")]
    return list(_missing(words, frozenset(posixpath.normpath(name) for name in files)))


def _missing(words: Sequence[str], files: frozenset[str]) -> Iterator[FieldProblem]:
    program, arguments = words[0], words[1:]
    name = posixpath.basename(program)
    if "/" in program and not program.startswith("/"):
        yield from _file_problems(program, files)
    elif "/" not in program and program in files:
        yield _problem(f"names {program}, which would be looked for on PATH.", f"Write ./{program} for your own.")
    elif "/" not in program and program.endswith(_SCRIPT):
        yield from _file_problems(program, files)
    elif _PYTHON.fullmatch(name):
        yield from _python_problems(arguments, files)
    elif name in _SHELLS:
        script = next((word for word in arguments if not word.startswith("-")), None)
        if script is not None and not any(word.startswith("-") and "c" in word[1:] for word in arguments):
            yield from _file_problems(script, files)
    else:
        yield from _launched_problems(arguments, files)


def _python_problems(arguments: Sequence[str], files: frozenset[str]) -> Iterator[FieldProblem]:
    rest = list(arguments)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        option = rest.pop(0)
        if option.startswith("--") and option not in _PYTHON_WITH_VALUE:
            continue
        if option in _PYTHON_WITH_VALUE:
            del rest[:1]
        elif "c" in option[1:] and not option.startswith(("-W", "-X")):
            return  # -c: the program is in the command itself
        elif option.endswith("m") and not option.startswith(("-W", "-X")):
            if not rest:
                yield _problem("ends after -m.", "Name the module to run, as in: python -m package.train")
            else:
                yield from _module_problems(rest[0], files)
                yield from _launched_problems(rest[1:], files)
            return
    if not rest or rest[0] == "-":
        yield _problem("names no file for Python to run.", "Write: python train.py")
    else:
        yield from _file_problems(rest[0], files)


def _module_problems(module: str, files: frozenset[str]) -> Iterator[FieldProblem]:
    path = module.replace(".", "/")
    if f"{path}.py" in files or f"{path}/__main__.py" in files:
        return
    tops = {name.split("/")[0].removesuffix(".py") for name in files if name.endswith(".py")}
    top = module.split(".", maxsplit=1)[0]
    modules = [name.removesuffix(".py").removesuffix("/__main__").replace("/", ".") for name in files]
    # A module of another name may well be installed on the executors, as torch.distributed.run is.
    if top in tops or difflib.get_close_matches(module, modules, n=1, cutoff=0.8):
        remedy = _did_you_mean(module, modules) or f"The program needs {path}.py or {path}/__main__.py."
        yield _problem(f"runs the module {module}, which is not in the program.", remedy)


def _launched_problems(arguments: Sequence[str], files: frozenset[str]) -> Iterator[FieldProblem]:
    """For torchrun, accelerate and the like: among their arguments is the script, if there is one."""
    scripts = [word for word in arguments if word.endswith(".py") and not word.startswith(("-", "/"))]
    if scripts and not any(posixpath.normpath(word) in files for word in scripts):
        yield from _file_problems(scripts[0], files)


def _file_problems(name: str, files: frozenset[str]) -> Iterator[FieldProblem]:
    if name.startswith("/"):
        return  # may be on the executors
    path = posixpath.normpath(name)
    if path in files or f"{path}/__main__.py" in files:
        return
    if path.startswith(".."):
        yield _problem(f"names {name}, outside the program's folder.", "Put the file into the folder.")
        return
    remedy = _did_you_mean(path, files)
    if not remedy:
        shown = sorted(files, key=lambda item: (item.count("/"), not item.endswith(_SCRIPT), item))[:10]
        remedy = f"The program has: {', '.join(shown)}{' …' if len(files) > len(shown) else ''}"
    yield _problem(f"names {name}, which is not in the program.", remedy)


def _did_you_mean(wanted: str, names: Collection[str]) -> str:
    names = sorted(names, key=lambda name: (name.count("/"), name))
    same = [name for name in names if posixpath.basename(name).lower() == posixpath.basename(wanted).lower()]
    near = same or difflib.get_close_matches(wanted, names, n=1, cutoff=0.6)
    return f"Did you mean {near[0]}?" if near else ""


def _problem(message: str, remedy: str) -> FieldProblem:
    return FieldProblem(field="command", message=message, remedy=remedy)
