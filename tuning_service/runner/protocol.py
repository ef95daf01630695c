"""What travels between a runner and the service: each request is authorised by the task's own token.

    POST /v1/tasks/{task}/claim     Claim  -> LaunchPlan | 202 Park | 410: not needed any more
    GET  /v1/tasks/{task}/program          -> the bundle's bytes
    POST /v1/tasks/{task}/report    Report -> Answer     | 410: this execution was given up; end the training
    GET  /v1/tasks/{task}/artifacts        -> {"bytes", "files", "why"}: what it may store | 404: an older service
    PUT  /v1/tasks/{task}/artifacts/{path} one file that the training left, as it is; Content-Length is needed

Each request may be sent again with the same content: the second has no further effect. Numbers that JSON cannot
write (nan, inf) travel as the strings "nan", "inf", "-inf".
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from tuning_service.domain.resources import MOST_SAMPLES, ResourceSample, ResourceUse
from tuning_service.domain.state import Decision, TaskStatus
from tuning_service.domain.trial import FaultKind, LaunchPlan, Measurement, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskTicket:
    """What a Spark task is started with. Small: everything else comes with the claim.

    `gpus` are addresses that the backend chose itself (local mode); None means Spark assigned them, if any.
    """

    task_id: str
    token: str
    service_url: str  # http://host:port, reachable from executors
    gpus: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """First words of a runner. A higher `attempt` takes over from a lower one; `nonce` tells two runners apart."""

    attempt: int  # Spark's attemptNumber()
    nonce: str  # random, fixed for one runner's execution of one ticket
    host: str
    gpus: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self) | {"gpus": list(self.gpus)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Claim":
        """The claim that `to_json` wrote.

        Raises:
            KeyError, TypeError, ValueError: it did not.
        """
        return cls(
            attempt=int(data["attempt"]),
            nonce=str(data["nonce"]),
            host=str(data["host"]),
            gpus=tuple(map(str, data["gpus"])),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Park:
    """The answer to a claim from an executor that is left out: hold the slot, train nothing, claim again then.

    So the slot, which nothing else can take from Spark, takes no other trial.
    """

    seconds: float
    reason: str

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What happened since the last report that was answered; an empty one is a heartbeat.

    `withdrawn` names metrics whose measurements in earlier reports do not count. `log` is text whose UTF-8 form belongs
    at byte `log_offset` of the task's log. `outcome` is in the last one.
    A service of an older version passes over `resources`.
    """

    measurements: tuple[Measurement, ...] = ()
    log_offset: int = 0
    log: str = ""
    outcome: Outcome | None = None
    withdrawn: tuple[str, ...] = ()
    resources: ResourceUse | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "measurements": [[m.step, m.metric, number_to_json(m.value), m.elapsed_s] for m in self.measurements],
            "log_offset": self.log_offset,
            "log": self.log,
            "outcome": None if self.outcome is None else asdict(self.outcome),
            **({"withdrawn": list(self.withdrawn)} if self.withdrawn else {}),
            **({"resources": _use_to_json(self.resources)} if self.resources else {}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Report":
        """The report that `to_json` wrote.

        Raises:
            KeyError, TypeError, ValueError: it did not.
        """
        return cls(
            measurements=tuple(
                Measurement(step=int(step), metric=str(metric), value=float(value), elapsed_s=float(elapsed))
                for step, metric, value, elapsed in data["measurements"]
            ),
            log_offset=int(data["log_offset"]),
            log=str(data["log"]),
            outcome=None if data["outcome"] is None else outcome_from_json(data["outcome"]),
            withdrawn=tuple(map(str, data.get("withdrawn", ()))),
            resources=_use_from_json(data["resources"]) if data.get("resources") else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the service says to a report."""

    decision: Decision

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"decision": str(self.decision)}


_OUTCOME = frozenset(field.name for field in fields(Outcome))


def number_to_json(value: float) -> float | str:
    """`value`, as a string when JSON has no way to write it; float() reads both back."""
    return value if math.isfinite(value) else str(value)


def outcome_from_json(data: Mapping[str, Any]) -> Outcome:
    """The outcome that `dataclasses.asdict` wrote, also in a version that knew fewer fields, or more."""
    known = {name: value for name, value in data.items() if name in _OUTCOME}
    return Outcome(**{**known, "status": TaskStatus(data["status"]), "fault": FaultKind(data["fault"])})


def _use_to_json(use: ResourceUse) -> dict[str, Any]:
    return asdict(use)


def _use_from_json(data: Mapping[str, Any]) -> ResourceUse:
    peak, cpu_s = data.get("peak_memory_bytes"), data.get("cpu_s")
    return ResourceUse(
        samples=tuple(map(_sample_from_json, data["samples"][-MOST_SAMPLES:])),
        peak_memory_bytes=None if peak is None else _count(peak),
        cpu_s=None if cpu_s is None else _amount(cpu_s),
    )


def _sample_from_json(data: Mapping[str, Any]) -> ResourceSample:
    memory, used = data["gpu_memory_bytes"], data["gpu_utilisation"]
    return ResourceSample(
        elapsed_s=_amount(data["elapsed_s"]),
        cpu=_amount(data["cpu"]),
        memory_bytes=_count(data["memory_bytes"]),
        threads=_count(data["threads"]),
        gpu_memory_bytes=tuple(None if m is None else _count(m) for m in memory[:_MOST_GPUS]),
        gpu_utilisation=tuple(None if u is None else min(_amount(u), 1.0) for u in used[:_MOST_GPUS]),
    )


_MOST_GPUS = 64


def _amount(value: Any) -> float:
    number = float(value)
    if not 0 <= number < 2**53:
        raise ValueError(f"{number} is no amount")
    return number


def _count(value: Any) -> int:
    return int(_amount(value))


def plan_to_json(plan: LaunchPlan) -> dict[str, Any]:
    """JSON-ready."""
    return asdict(plan)


def plan_from_json(data: Mapping[str, Any]) -> LaunchPlan:
    """The plan that `plan_to_json` wrote."""
    lists = ("argv", "required", "modules", "imports", "templates")
    return LaunchPlan(**{**data, **{name: tuple(data[name]) for name in lists if name in data}})
