"""Trying a plug-in out: in a limited child process, as a job's would be."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tuning_service.domain.job import AlgorithmChoice, Goal, Objective
from tuning_service.domain.space import Space
from tuning_service.domain.trial import Observation
from tuning_service.search.base import PendingTrial
from tuning_service.search.host import AlgorithmFailed, AlgorithmHost
from tuning_service.search.messages import AlgorithmSetup
from tuning_service.search.plugins.cache import PreparedPlugin
from tuning_service.search.plugins.limits import PluginLimits
from tuning_service.search.plugins.process import PluginProcess
from tuning_service.search.process import ChildDied, ChildTimedOut

_MOST_ANSWER_S = 60.0
_SPACE: dict[str, dict[str, Any]] = {
    "rate": {"type": "float", "min": 0.0001, "max": 0.3, "scale": "log"},
    "width": {"type": "int", "min": 8, "max": 512},
    "kind": {"type": "categorical", "values": ["sgd", "adam"]},
}
_CONDITIONAL = {"momentum": {"type": "float", "min": 0.0, "max": 0.99, "when": {"kind": ["sgd"]}}}
_OBJECTIVE = Objective(metric="loss", goal=Goal.MINIMIZE)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One thing that was checked. `detail` says what was wrong."""

    name: str
    ok: bool
    detail: str = ""


def try_out(plugin: PreparedPlugin, limits: PluginLimits) -> None:
    """Return quietly when the plug-in loads, and answers three times as it should, one trial having failed.

    Raises:
        AlgorithmFailed: it does not; `explanation` has the lines of its traceback.
    """
    limits = replace(limits, answer_s=min(limits.answer_s, _MOST_ANSWER_S))
    manifest = plugin.manifest
    conditional = _CONDITIONAL if manifest.takes_conditions else {}
    setup = AlgorithmSetup(
        space=Space.from_dict(_SPACE | conditional),
        objectives=(_OBJECTIVE,),
        algorithm=AlgorithmChoice(name=manifest.name, version=manifest.version, options=_defaults(plugin)),
        seed=1,
    )
    host = AlgorithmHost(children=1, plugin_limits=limits)
    try:
        session = host.open("check", setup, lambda: plugin)
        history: list[Observation] = []
        pending: list[PendingTrial] = []
        for count in (2, 1, 3):
            suggestions = session.ask(count, history, pending).result()
            if len(suggestions) < count:
                gave = f"it gave {len(suggestions)} of {count} suggestions in a space that has many."
                raise AlgorithmFailed(f"Plug-in {manifest.name} {manifest.version} failed: {gave}")
            first = len(history) + len(pending)
            pending += [PendingTrial(number=first + i, params=s.params) for i, s in enumerate(suggestions)]
            ended, pending = pending[:-1], pending[-1:]
            history += [Observation.of(number=t.number, params=t.params, loss=_loss(t)) for t in ended]
    finally:
        host.close()


def conformance(plugin: PreparedPlugin, limits: PluginLimits) -> Sequence[CheckResult]:
    """What the suite that the service's own algorithms pass makes of an `HPTAlgorithm`; it runs in the child."""
    process = PluginProcess(lambda: plugin, limits)
    try:
        process.start()
        answer = process.ask({"do": "conformance", "session": ""}, limits.answer_s)
    except ChildTimedOut:
        words = process.last_words()
        return [CheckResult(name="conformance", ok=False, detail=f"no result within {limits.answer_s:g} s.\n{words}")]
    except ChildDied as error:
        words = process.last_words()
        return [CheckResult(name="conformance", ok=False, detail=f"its process died: {error}.\n{words}")]
    finally:
        process.close()
        process.release()
    try:
        if "error" in answer:
            said = answer["error"]
            return [CheckResult(name="conformance", ok=False, detail=f"{said['reason']}\n{said['detail']}".strip())]
        return [CheckResult(name=str(name), ok=bool(ok), detail=str(detail)) for name, ok, detail in answer["results"]]
    except (KeyError, TypeError, ValueError):
        return [CheckResult(name="conformance", ok=False, detail="what it sent is no result.")]


def _defaults(plugin: PreparedPlugin) -> dict[str, Any]:
    return plugin.manifest.options_type()().model_dump(mode="json")


def _loss(trial: PendingTrial) -> float | None:
    return None if trial.number == 1 else float(trial.params["rate"])
