"""Tables of trials for tests."""

from typing import Any

from tests.samples import a_spec
from tuning_service.analysis.table import TrialTable
from tuning_service.domain.job import Goal, Objective
from tuning_service.domain.outlines import TaskOutline, TrialOutline
from tuning_service.domain.space import Space

SPACE = {
    "lr": {"type": "float", "min": 1e-4, "max": 1.0, "scale": "log"},
    "optimizer": {"type": "categorical", "values": ["sgd", "adam"]},
    "momentum": {"type": "float", "min": 0.0, "max": 1.0, "when": {"optimizer": ["sgd"]}},
    "seed": {"type": "fixed", "value": 7},
}


def a_row(number: int, value: float | None = None, **changes: Any) -> TrialOutline:
    """A trial that ended 10 s after its number: completed with `value`, or failed."""
    ended = 100.0 + 10 * number
    row = TrialOutline(
        number=number,
        params={"lr": 0.01, "optimizer": "adam", "seed": 7},
        status="failed" if value is None else "completed",
        value=value,
        values={} if value is None else {"accuracy": value},
        violation=0.0,
        created_at=ended - 9,
        started_at=ended - 8,
        ended_at=ended,
        settled=number,
    )
    return row._replace(**changes)


def a_table(
    *rows: TrialOutline, space: dict[str, Any] | None = None, goals: dict[str, Goal] | None = None
) -> TrialTable:
    """Time counts from 100."""
    objectives = tuple(Objective(metric=m, goal=g) for m, g in (goals or {"accuracy": Goal.MAXIMIZE}).items())
    spec = a_spec(space=Space.from_dict(space or SPACE), objectives=objectives)
    return TrialTable(spec=spec, rows=rows, began=100.0)


def a_task(number: int, start: float | None, end: float | None, **changes: Any) -> TaskOutline:
    """An execution on half a GPU for 7.20 an hour: 0.001 a second."""
    task = TaskOutline(
        id=f"task_{number}",
        trial_number=number,
        number=0,
        status="succeeded" if end else "claimed",
        host=f"host-{number % 2}",
        gpus=("0",),
        gpu_share=0.5,
        price=7.2,
        claimed_at=start,
        ended_at=end,
    )
    return task._replace(**changes)
