"""From a plug-in's folder to its class, in the child process: errors name the file, the line and the remedy."""

import importlib
import inspect
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from tuning_service.domain.errors import TuningError
from tuning_service.domain.trial import Suggestion
from tuning_service.search.base import HPTAlgorithm, PendingTrial
from tuning_service.search.plugins import dli
from tuning_service.search.plugins.errors import BadPlugin
from tuning_service.search.plugins.manifest import Manifest, did_you_mean

_MOST_LINES = 40


def load(folder: Path, manifest: Manifest) -> type[HPTAlgorithm]:
    """The algorithm that the plug-in's class is, or is made into.

    Raises:
        BadPlugin: it has a syntax error, does not import, has no such class, or that is no algorithm.
    """
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    if manifest.interface == "dli":
        dli.provide_modules()
    found = _class_in(_module(manifest, folder), manifest)
    cls = dli.adapted(found) if manifest.interface == "dli" else _checked(found, manifest)
    cls.name, cls.summary, cls.options_type = manifest.name, manifest.summary, manifest.options_type()
    cls.most_objectives, cls.takes_constraints = manifest.most_objectives, manifest.takes_constraints
    return cls


def _module(manifest: Manifest, folder: Path) -> ModuleType:
    before = sys.modules.get(manifest.module)
    if before is not None and not str(getattr(before, "__file__", "") or "").startswith(str(folder)):
        raise BadPlugin(f"its module {manifest.module!r} has the name of a module of Python's; rename the file")
    try:
        return importlib.import_module(manifest.module)
    except SyntaxError as error:
        place = f"{Path(error.filename or manifest.module).name}, line {error.lineno}"
        raise BadPlugin(f"{place}: {error.msg}: {(error.text or '').strip()}") from error
    except ModuleNotFoundError as error:
        remedy = "name its package among the requirements in plugin.toml"
        raise BadPlugin(f"its module {manifest.module} imports {error.name!r}, which is not there; {remedy}") from error
    except BaseException as error:
        raise BadPlugin(f"its module {manifest.module} does not import: {_in_words(error)}") from error


def _class_in(module: ModuleType, manifest: Manifest) -> type:
    found = getattr(module, manifest.class_name, None)
    if isinstance(found, type):
        return found
    own = [name for name, item in vars(module).items() if isinstance(item, type) and item.__module__ == module.__name__]
    remedy = did_you_mean(manifest.class_name, own) if own else "It defines no class."
    raise BadPlugin(f"module {manifest.module} has no class {manifest.class_name}. {remedy}")


def _checked(found: type, manifest: Manifest) -> type[HPTAlgorithm]:
    if not issubclass(found, HPTAlgorithm):
        raise BadPlugin(f"{manifest.class_name} is no HPTAlgorithm; derive it from tuning_service.search.base's")
    missing = sorted(getattr(found, "__abstractmethods__", ()))
    if missing:
        raise BadPlugin(f"{manifest.class_name} lacks {' and '.join(missing)}; define them")
    for name in ("observe", "suggest"):  # they see to repeats, and to what counts as failed
        if getattr(found, name) is not getattr(HPTAlgorithm, name):
            raise BadPlugin(f"{manifest.class_name} defines {name}, which is the service's own; define _{name}")
    _check_constructor(found, manifest.takes_constraints)
    return type(found.__name__, (_Watched, found), {"__module__": found.__module__})


def _check_constructor(found: type[HPTAlgorithm], takes_constraints: bool) -> None:
    signature = inspect.signature(found.__init__)
    # Those of a job are left out where there are none, as for built-in ones.
    constraints: dict[str, Any] = {"constraints": ()} if takes_constraints else {}
    try:
        signature.bind(None, None, (), None, 0, **constraints)
    except TypeError as error:
        expected = "__init__(self, space, objectives, options, seed, *, constraints=())"
        raise BadPlugin(
            f"{found.__name__}{signature} does not take what it is given ({error}); use {expected}"
        ) from None


class _Watched(HPTAlgorithm):
    """What comes before a plug-in's class in the order of resolution: looks at its answers before anybody uses them."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        if not hasattr(self, "transform"):
            raise BadPlugin("its __init__ does not hand on what it is given: call super().__init__ first")

    def _suggest(self, count: int, pending: Sequence[PendingTrial]) -> list[Suggestion]:
        answer: Any = super()._suggest(count, pending)  # type: ignore[safe-super]  # the plug-in's own
        if not isinstance(answer, (list, tuple)):
            raise BadPlugin(f"its _suggest returned a {type(answer).__name__}, not a list of Suggestions")
        for item in answer:
            if not isinstance(item, Suggestion):
                raise BadPlugin(f"its _suggest returned a list with a {type(item).__name__} in it: {item!r:.200}")
        if len(answer) > count:
            raise BadPlugin(f"its _suggest returned {len(answer)} suggestions where {count} were asked for")
        for item in answer:
            check_plain(item)
        return [replace(item, params=self.space.canonical(item.params)) for item in answer]


def check_plain(suggestion: Suggestion) -> None:
    """Return quietly when the parameters' values are plain ones. Raises BadPlugin."""
    if not isinstance(suggestion.params, Mapping):
        raise BadPlugin(f"its suggestion's params are a {type(suggestion.params).__name__}, not {{name: value}}")
    for name, value in dict(suggestion.params).items():
        if not isinstance(name, str):
            raise BadPlugin(f"it suggested a value for {name!r:.200}, which is no name")
        if type(value) not in {bool, int, float, str}:
            hint = "; convert it with .item()" if hasattr(value, "item") else ""
            raise BadPlugin(f"it suggested {name} = {value!r:.200}, a {type(value).__name__}{hint}")
    if not isinstance(suggestion.source, str):
        raise BadPlugin("its suggestion's source is no text")


def explain(error: BaseException, folder: Path) -> tuple[str, str]:
    """One line, and the lines of the traceback from the plug-in's own first one on."""
    reason = error.message if isinstance(error, TuningError) else _in_words(error)
    if isinstance(error, MemoryError):
        reason += " (its memory is limited)"
    return reason[:1000], "\n".join(line[:1000] for line in _own_lines(error, folder)[-_MOST_LINES:])


def _in_words(error: BaseException) -> str:
    return traceback.format_exception_only(error)[-1].strip()


def _own_lines(error: BaseException, folder: Path) -> list[str]:
    cause: BaseException | None = error
    while cause is not None:
        frames = traceback.extract_tb(cause.__traceback__)
        first = next((i for i, f in enumerate(frames) if Path(f.filename).is_relative_to(folder)), None)
        if first is not None:
            lines = "".join(traceback.StackSummary.from_list(frames[first:]).format()).replace(f"{folder}/", "")
            return [*lines.splitlines(), _in_words(cause)]
        if isinstance(cause, SyntaxError):
            text = "".join(traceback.format_exception_only(cause)).replace(f"{folder}/", "")
            return text.splitlines()
        cause = cause.__cause__
    return []
