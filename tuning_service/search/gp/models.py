"""The models of a history: one process for each objective, each metric constraint, and failure."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from tuning_service.search.gp.cube import Cube, Matrix
from tuning_service.search.gp.history import History, Rows, chosen
from tuning_service.search.gp.model import Process
from tuning_service.search.gp.outputs import OutputScale
from tuning_service.search.gp.surrogate import Surrogate, fitted_length

# Points that a process is conditioned on, and hyper-parameters are fitted to, at most.
MOST_KNOWN = 300
MOST_FITTED = 200
# Violations beyond so many usual ones are as bad as those.
_FAR = 1e6

Targets = Callable[[Rows], tuple[Matrix, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Belief:
    """What is believed at one moment. All targets are on the models' own scales."""

    objectives: list[Process]
    scales: list[OutputScale]
    limits: list[tuple[Process, float]]  # what a point must stay below: metric constraints, and failure
    rows: Rows  # of the history, (n,): those that the objectives' processes know
    means: Matrix  # (n, objectives), what is expected at these points
    awaited: Matrix  # (k, objectives), what is expected of pending points that are likely within all limits

    def believing(self, features: Matrix) -> "Belief":
        """The same with these points pending."""
        expected = np.stack([process.mean(features) for process in self.objectives], axis=1)
        within = np.ones(len(features), dtype=np.bool_)
        for process, limit in self.limits:
            within &= process.mean(features) <= limit
        return replace(
            self,
            awaited=np.vstack([self.awaited, expected[within]]),
            objectives=[process.believing(features) for process in self.objectives],
            limits=[(process.believing(features), limit) for process, limit in self.limits],
        )

    @property
    def size(self) -> int:
        """Number of points in the first process."""
        return self.objectives[0].size


class Models:
    """Builds beliefs. Hyper-parameters are kept from one to the next while `fitted_length` stays the same."""

    def __init__(self, cube: Cube, history: History, *, objectives: int, constraints: int) -> None:
        self._cube, self._history = cube, history
        self._objectives, self._constraints = objectives, constraints
        self._surrogates: dict[str, Surrogate] = {}

    def features(self, points: Matrix, jobs: Rows | None = None) -> Matrix:
        """What the processes see of points (n, d): of the job that is searched, unless `jobs` (n,) says otherwise."""
        columns = self._cube.features(points)
        if self._history.jobs == 1:
            return columns
        jobs = np.zeros(len(points), dtype=np.int64) if jobs is None else jobs
        # The job is one more category: how much one job tells about another is learned as its length scale.
        return np.hstack([columns, np.where(jobs[:, None] == np.arange(self._history.jobs), np.sqrt(0.5), 0.0)])

    def believe(self) -> Belief | None:
        """What the history says; None while no trial in it has a loss."""
        rows = self._succeeded(len(self._history))
        if not len(rows):
            return None
        rows = self._selected(rows, MOST_KNOWN)
        processes = [self._process(f"objective {k}", rows, self._loss_targets(k)) for k in range(self._objectives)]
        # As if they all were this job's: what an earlier job found good is good to vary here.
        features = self.features(self._history.points(rows))
        return Belief(
            objectives=processes,
            scales=[self._scales(rows, k)[0] for k in range(self._objectives)],
            limits=self._limits(),
            rows=rows,
            means=np.stack([process.mean(features) for process in processes], axis=1),
            awaited=np.empty((0, self._objectives)),
        )

    def _limits(self) -> list[tuple[Process, float]]:
        everything = np.arange(len(self._history))
        measured = self._measured(len(everything))
        limits = []
        for k in range(self._constraints if len(measured) else 0):
            rows = self._selected(measured, MOST_KNOWN)
            limits.append((self._process(f"limit {k}", rows, self._violation_targets(k), self._measured), 0.0))
        if len(self._succeeded(len(everything))) < len(everything):
            rows = self._selected(everything, MOST_KNOWN)
            _, limit = self._failure_targets(rows)
            limits.append((self._process("failure", rows, self._failure_targets, np.arange), limit))
        return limits

    def _process(
        self, name: str, rows: Rows, targets: Targets, rows_among: Callable[[int], Rows] | None = None
    ) -> Process:
        """The process of one quantity that knows `rows`; `rows_among(n)` are those of the first n that have it."""
        surrogate = self._surrogates.get(name)
        if surrogate is None or surrogate.jobs != self._history.jobs:
            surrogate = self._surrogates[name] = Surrogate(self._cube, self._history.jobs)
        length = fitted_length(len(self._history))

        def data() -> tuple[Matrix, Matrix]:
            some = self._selected((rows_among or self._succeeded)(length), MOST_FITTED)
            return self._features_of(some), targets(some)[0]

        surrogate.fit(length, data)
        return surrogate.condition(self._features_of(rows), targets(rows)[0])

    def _features_of(self, rows: Rows) -> Matrix:
        return self.features(self._history.points(rows), self._history.job_of(rows))

    # Which rows

    def _succeeded(self, length: int) -> Rows:
        return np.array([i for i in range(length) if self._history[i].losses is not None], dtype=np.int64)

    def _measured(self, length: int) -> Rows:
        wanted = self._constraints
        return np.array([i for i in range(length) if len(self._history[i].violations) == wanted], dtype=np.int64)

    def _selected(self, rows: Rows, most: int) -> Rows:
        if len(rows) <= most:
            return rows
        jobs = self._history.job_of(rows)
        order = np.full(len(rows), np.inf)
        has_loss = np.array([self._history[i].losses is not None for i in rows])
        for job in np.unique(jobs):
            of_job = has_loss & (jobs == job)
            ranks = self._history.losses(rows[of_job]).argsort(axis=0, kind="stable").argsort(axis=0, kind="stable")
            order[of_job] = ranks.min(axis=1)  # the best of any objective
        return rows[chosen(order, jobs == 0, most)]

    # Targets of rows, and the limit that they should stay below

    def _loss_targets(self, k: int) -> Targets:
        def targets(rows: Rows) -> tuple[Matrix, float]:
            if not len(rows):
                return np.empty(0), 0.0
            values, jobs = self._history.losses(rows)[:, k], self._history.job_of(rows)
            out = np.empty(len(rows))
            for job, scale in self._scales(rows, k).items():
                out[jobs == job] = scale.forward(values[jobs == job])
            return out, 0.0

        return targets

    def _scales(self, rows: Rows, k: int) -> dict[int, OutputScale]:
        """The scale of each job's losses; without losses of the searched job, an earlier one's is taken for its own."""
        values, jobs = self._history.losses(rows)[:, k], self._history.job_of(rows)
        scales = {int(job): OutputScale.of(values[jobs == job]) for job in np.unique(jobs)}
        if 0 not in scales:
            return scales | {0: scales[min(scales)]}
        if len(scales) > 1:
            scales[0] = self._aligned(scales, values, rows)
        return scales

    def _aligned(self, scales: dict[int, OutputScale], values: Matrix, rows: Rows) -> OutputScale:
        """The searched job's scale, moved to where earlier jobs expect its points to be.

        It has tried what was good there: its mean is no average loss, and its few losses spread less.
        """
        jobs = self._history.job_of(rows)
        known = np.concatenate([scales[job].forward(values[jobs == job]) for job in scales if job])
        points = self._history.points(np.concatenate([rows[jobs == job] for job in scales if job]))
        process = Surrogate(self._cube, 1).condition(self._cube.features(points), known)
        expected = process.mean(self._cube.features(self._history.points(rows[jobs == 0])))
        return scales[0].moved(float(expected.mean()), max(0.5, float(expected.std())))

    def _violation_targets(self, k: int) -> Targets:
        def targets(rows: Rows) -> tuple[Matrix, float]:
            values = self._history.violations(rows)[:, k] if len(rows) else np.empty(0)
            scale = float(np.median(np.abs(values))) if len(rows) else 1.0
            # Zero stays zero; far away from it, how far does not matter.
            with np.errstate(over="ignore"):
                parts = values / (scale or float(np.abs(values).max(initial=0.0)) or 1.0)
            return np.arcsinh(np.clip(parts, -_FAR, _FAR)), 0.0

        return targets

    def _failure_targets(self, rows: Rows) -> tuple[Matrix, float]:
        failed = np.array([1.0 if self._history[i].losses is None else -1.0 for i in rows])
        # Far from all points the process expects 0: there failure is as likely as on average.
        base = float(failed.mean()) if len(rows) else 0.0
        return failed - base, -base
