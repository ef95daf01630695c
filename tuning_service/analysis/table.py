"""A job's trials in columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tuning_service.analysis.numbers import Places, Vector
from tuning_service.domain.errors import FieldProblem, InvalidRequest
from tuning_service.domain.job import JobSpec
from tuning_service.domain.outlines import TrialOutline
from tuning_service.domain.parameters import Params
from tuning_service.domain.state import TrialStatus

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class TrialTable:
    """Trials by number; nothing of it changes. `began` is the time from which a job's time counts."""

    spec: JobSpec
    rows: Sequence[TrialOutline]
    began: float

    def __len__(self) -> int:
        return len(self.rows)

    def objective(self, metric: str | None) -> int:
        """Place of the objective that is meant: the first, when none is named.

        Raises:
            InvalidRequest: the job has none of that name.
        """
        names = [o.metric for o in self.spec.objectives]
        if metric is None:
            return 0
        if metric not in names:
            message = f"{metric!r} is no objective of this job."
            raise InvalidRequest(
                FieldProblem(field="objective", message=message, remedy=f"Use one of: {', '.join(names)}.")
            )
        return names.index(metric)

    def params(self, places: Places) -> list[Params]:
        """Of these trials."""
        return [self.rows[place].params for place in places.tolist()]

    @cached_property
    def numbers(self) -> NDArray[np.int64]:
        """(n,)."""
        return np.array([row.number for row in self.rows], dtype=np.int64)

    @cached_property
    def status(self) -> list[str]:
        """One for each trial."""
        return [row.status for row in self.rows]

    @cached_property
    def completed(self) -> Mask:
        """(n,) True for trials that completed with a finite value of each objective."""
        ended = np.array([row.status == TrialStatus.COMPLETED for row in self.rows], dtype=bool)
        return ended & np.isfinite(self.values).all(axis=1)

    @cached_property
    def feasible(self) -> Mask:
        """(n,) False for completed trials that violate a metric constraint."""
        return np.array([row.violation <= 0 for row in self.rows], dtype=bool)

    @cached_property
    def ended_at(self) -> Vector:
        """(n,) NaN while there is no end."""
        return np.array([np.nan if row.ended_at is None else row.ended_at for row in self.rows], dtype=float)

    @cached_property
    def values(self) -> Vector:
        """(n, objectives), in the user's own sign; NaN where there is none."""
        names = [o.metric for o in self.spec.objectives]
        found = [[row.values.get(name, np.nan) for name in names] for row in self.rows]
        for known, row in zip(found, self.rows, strict=True):
            if not row.values and row.value is not None:  # stored before trials had several values
                known[0] = row.value
        return np.array(found, dtype=float).reshape(len(self.rows), len(names))

    @cached_property
    def signs(self) -> Vector:
        """(objectives,) what turns values into losses: 1, or -1 where more is better."""
        return np.array([o.loss(1.0) for o in self.spec.objectives])

    @cached_property
    def losses(self) -> Vector:
        """(n, objectives), less is better."""
        return self.values * self.signs

    def ranked(self, objective: int = 0) -> Places:
        """Places of completed trials, best first: those that meet the metric constraints before the others."""
        places = np.flatnonzero(self.completed)
        order = np.lexsort((self.numbers[places], self.losses[places, objective], ~self.feasible[places]))
        return places[order]

    def nothing(self) -> str:
        """Why there is nothing to show, when no trial has completed; "" otherwise."""
        if self.completed.any():
            return ""
        if not self.rows:
            return "There are no trials yet."
        if TrialStatus.RUNNING in self.status or TrialStatus.QUEUED in self.status:
            return "No trial has completed yet."
        return "No trial has completed: all failed or were stopped."
