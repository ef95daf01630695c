"""AnalysisMgr: what a job's trials tell when looked at together. Numbers for charts, not charts."""

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import orjson

from tuning_service.analysis import compare, contour, curves, history, importance, views
from tuning_service.domain.clock import Clock, system_clock
from tuning_service.domain.errors import FieldProblem, InvalidRequest, NotFound, TryAgain
from tuning_service.domain.job import TuningJob
from tuning_service.domain.principal import Principal
from tuning_service.domain.state import OPEN_TASKS
from tuning_service.manager.byte_cache import ByteCache
from tuning_service.manager.curve_keeper import CurveKeeper
from tuning_service.manager.job_curves import JobCurves, newest
from tuning_service.manager.snapshots import Snapshot, Snapshots
from tuning_service.manager.sparklines import Sparklines
from tuning_service.storage.store import Store

Answer = dict[str, Any]
_MIB = 2**20
# An importance is taken as it was until this part more trials have completed.
_FANOVA_GROWTH = 1.05
# With as many threads as answer requests, waiting for these would keep everybody else waiting.
_MOST_WAITING = 16


class AnalysisMgr:
    """Answers questions about jobs, each with the question in words and a note on what was left out.

    Whether the principal may see the job is asked of the database each time, before anything remembered is looked at.
    What is remembered is bounded in bytes. Safe from any thread; every method raises NotFound for a job that is not
    there or is another tenant's, and InvalidRequest for a parameter, objective or trial that the job has not.
    """

    def __init__(self, store: Store, clock: Clock = system_clock, *, keeper: CurveKeeper | None = None) -> None:
        """`keeper`: shared with who knows of ends (`TaskDesk`); without one, an own one."""
        self._store = store
        self._clock = clock
        self._keeper = keeper or CurveKeeper(store)
        self._snapshots = Snapshots(64 * _MIB)
        self._curves = JobCurves(store, 64 * _MIB)
        self._sparklines = Sparklines(16 * _MIB)
        self._answers: ByteCache[tuple[int, Answer]] = ByteCache(48 * _MIB)
        self._forests: ByteCache[tuple[int, Answer]] = ByteCache(4 * _MIB)
        # One at a time: what takes seconds is then there for all others who ask the same.
        self._slow = threading.Lock()
        self._room = threading.BoundedSemaphore(_MOST_WAITING)

    def close(self) -> None:
        """No curve is reduced any more."""
        self._keeper.close()

    def history(self, principal: Principal, job_id: str, *, objective: str | None = None) -> Answer:
        """Best so far against trials, time and cost."""
        job, snapshot = self._look(principal, job_id)
        question = "How did the best value improve with trials, time and money?"
        return self._answer(
            job,
            snapshot,
            "history",
            (objective,),
            question,
            lambda: history.history(snapshot.table, snapshot.tasks, objective),
        )

    def parallel(self, principal: Principal, job_id: str) -> Answer:
        """Parallel coordinates."""
        job, snapshot = self._look(principal, job_id)
        question = "Which combinations of parameter values do good trials have in common?"
        return self._answer(job, snapshot, "parallel", (), question, lambda: views.parallel(snapshot.table))

    def slice(self, principal: Principal, job_id: str, parameter: str, *, objective: str | None = None) -> Answer:
        """The objective against one parameter."""
        job, snapshot = self._look(principal, job_id)
        question = f"How does the objective change with {parameter}?"
        return self._answer(
            job,
            snapshot,
            "slice",
            (parameter, objective),
            question,
            lambda: views.slice_of(snapshot.table, parameter, objective),
        )

    def contour(self, principal: Principal, job_id: str, x: str, y: str, *, objective: str | None = None) -> Answer:
        """The objective over two parameters."""
        job, snapshot = self._look(principal, job_id)
        question = f"How do {x} and {y} act together, and where is it worth looking further?"
        return self._answer(
            job,
            snapshot,
            "contour",
            (x, y, objective),
            question,
            lambda: contour.contour(snapshot.table, x, y, objective),
        )

    def front(self, principal: Principal, job_id: str) -> Answer:
        """All trials by their objectives, with the Pareto front."""
        job, snapshot = self._look(principal, job_id)
        question = "What does getting better in one objective cost in the others?"
        return self._answer(job, snapshot, "front", (), question, lambda: views.front_of(snapshot.table))

    def slots(self, principal: Principal, job_id: str) -> Answer:
        """Who ran where and when."""
        _, snapshot = self._look(principal, job_id)
        table = snapshot.table
        made = views.slots(list(snapshot.tasks), table.began, self._clock())
        return {"question": "Which trials ran where and when, and were slots left idle?", **made}

    def importance(
        self, principal: Principal, job_id: str, *, method: importance.Method, objective: str | None = None
    ) -> Answer:
        """How much each parameter matters. Takes seconds the first time with fANOVA.

        Raises:
            TryAgain: many others wait for theirs.
        """
        _, snapshot = self._look(principal, job_id)
        question = "Which parameters decide the result, and which can be left alone?"
        table = snapshot.table
        completed = int(table.completed.sum())
        table.objective(objective)
        key = (principal.tenant_id, job_id, method, objective)
        growth = _FANOVA_GROWTH if method == "fanova" else 1.0

        def known() -> Answer | None:
            found = self._forests.get(key)
            return found[1] if found is not None and found[0] <= completed <= found[0] * growth else None

        if (answer := known()) is not None:
            return answer
        with self._turn():
            if (answer := known()) is not None:
                return answer
            answer = {"question": question, **importance.importance(table, method, objective)}
            self._forests.put(key, (completed, answer), 4000 + 400 * len(table.spec.space))
        return answer

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._room.acquire(blocking=False):
            raise TryAgain("Many importances are being worked out at this moment.", retry_after_s=2)
        try:
            with self._slow:
                yield
        finally:
            self._room.release()

    def curves(
        self,
        principal: Principal,
        job_id: str,
        *,
        metric: str | None = None,
        points: int = 200,
        trials: str | Sequence[int] = "all",
        along: curves.Along = "step",
        smooth: float = 0.0,
    ) -> Answer:
        """Learning curves of `trials`: "all", "best:20" or numbers. `smooth`, below 1: the moving average's weight."""
        job, snapshot = self._look(principal, job_id)
        table = snapshot.table
        name = job.spec.objective.metric if metric is None else metric
        selection = curves.select(table, trials)
        numbers = {table.rows[place].number for place in selection.places}
        tasks = newest(snapshot.tasks, numbers)

        def compute() -> Answer:
            found, unreduced = self._curves.of(principal, tasks, name, points=points)
            made = curves.curves(table, selection, found, points=points, along=along, smooth=smooth)
            answer = {"metric": name, "metrics": self._metrics(principal, job), **made}
            self._keeper.wanted(unreduced, name)  # last, so that it takes no time from the answer
            return answer

        question = f"How did {name} develop during training, and do the best trials differ early?"
        if any(task.status in OPEN_TASKS for task in tasks):
            return {"question": question, **compute()}  # it grows from one moment to the next
        arguments = (name, points, tuple(trials), along, smooth)
        return self._answer(job, snapshot, "curves", arguments, question, compute)

    def compare(self, principal: Principal, job_ids: Sequence[str]) -> Answer:
        """Best so far of several jobs, and the best configuration of each, in the order asked for."""
        wanted = list(dict.fromkeys(job_ids))
        if not 1 <= len(wanted) <= compare.MOST_JOBS:
            message = f"names {len(wanted)} jobs; between 1 and {compare.MOST_JOBS} can be compared."
            raise InvalidRequest(FieldProblem(field="jobs", message=message, remedy="Name fewer, with commas between."))
        found = []
        for job_id in wanted:
            job, snapshot = self._look(principal, job_id)
            found.append((job, snapshot.table, snapshot.tasks))
        return {"question": "Which of these jobs found the best, and how quickly?", **compare.compare(found)}

    def sparklines(self, principal: Principal, job_ids: Collection[str]) -> dict[str, list[float]]:
        """Best so far of each job in up to 30 numbers; jobs that are not this tenant's are missing."""
        with self._store.read() as unit:
            return self._sparklines.of(unit.outlines_for(principal), principal.tenant_id, job_ids)

    def _look(self, principal: Principal, job_id: str) -> tuple[TuningJob, Snapshot]:
        with self._store.read() as unit:
            try:
                job = unit.for_tenant(principal).job(job_id)
            except NotFound:
                self._snapshots.forget(principal.tenant_id, job_id)
                raise
            return job, self._snapshots.of(unit.outlines_for(principal), job)

    def _answer(
        self,
        job: TuningJob,
        snapshot: Snapshot,
        name: str,
        arguments: tuple[Any, ...],
        question: str,
        compute: Callable[[], Answer],
    ) -> Answer:
        """As computed for this very snapshot; of each question about a job the newest answer is remembered."""
        key = (job.tenant_id, job.id, name, arguments)
        known = self._answers.get(key)
        if known is not None and known[0] == snapshot.version:
            return known[1]
        answer = {"question": question, **compute()}
        if answer.get("total_measurements", 0) is not None:  # else samples, which better curves take the place of
            # Lists of numbers take about four times what they take as text.
            self._answers.put(key, (snapshot.version, answer), 4 * len(orjson.dumps(answer)))
        return answer

    def _metrics(self, principal: Principal, job: TuningJob) -> list[str]:
        """Names that the job gives, then what its newest trial has measured besides."""
        with self._store.read() as unit:
            return list(dict.fromkeys([*job.spec.metrics, *unit.outlines_for(principal).newest_metrics(job.id)]))
