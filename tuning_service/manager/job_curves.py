"""Learning curves of a job's trials, from the process's memory, the kept reductions, or the measurements themselves."""

from collections.abc import Sequence

from tuning_service.analysis.curves import KEPT, Curve
from tuning_service.domain.outlines import TaskOutline
from tuning_service.domain.principal import Principal
from tuning_service.manager.byte_cache import ByteCache
from tuning_service.manager.curve_keeper import as_columns, read_whole
from tuning_service.storage.store import Store, Unit

# Long curves that one answer reads whole: some ms each. The others are sampled.
_MOST_READ = 5
# Up to so many curves are sampled at so many steps, more of them at 8: about as many as are drawn then.
_SAMPLES = {20: 100, 400: 16}
_FEWEST_SAMPLES = 8


class JobCurves:
    """What was read of an execution that has ended is not read again. Safe from any thread."""

    def __init__(self, store: Store, most_bytes: int) -> None:
        self._store = store
        self._cache: ByteCache[Curve] = ByteCache(most_bytes)
        self._samples: ByteCache[Curve] = ByteCache(most_bytes // 8)  # of those that are not reduced yet

    @property
    def nbytes(self) -> int:
        """What is remembered."""
        return self._cache.nbytes

    def of(
        self, principal: Principal, tasks: Sequence[TaskOutline], metric: str, *, points: int
    ) -> tuple[dict[int, Curve], list[str]]:
        """Curves by trial number, of executions of jobs that were found for `principal`; without those that are empty.

        Of a few, all measurements are read when more `points` are wanted than reductions have. Then the ids of
        executions whose curves are worth reducing.
        """
        tenant = principal.tenant_id
        known: dict[str, Curve] = {}
        exact = points > KEPT and len(tasks) <= _MOST_READ
        if not exact:
            for task in tasks:
                curve = self._cache.get((tenant, task.id, metric))
                if curve is not None:
                    known[task.id] = curve
        missing = [task for task in tasks if task.id not in known]
        unreduced: list[str] = []
        if missing:
            with self._store.read() as unit:
                found, unreduced = self._read(unit, principal, missing, metric, exact=exact)
            known |= found
        return {t.trial_number: known[t.id] for t in tasks if t.id in known and known[t.id].points.shape[1]}, unreduced

    def _read(
        self, unit: Unit, principal: Principal, tasks: Sequence[TaskOutline], metric: str, *, exact: bool
    ) -> tuple[dict[str, Curve], list[str]]:
        rows = unit.outlines_for(principal)
        over = {task.id for task in tasks if task.ended_at is not None}
        found: dict[str, Curve] = {}
        if not exact:
            found = {i: Curve.from_bytes(data) for i, data in rows.kept([t.id for t in tasks], metric).items()}
        rest = [task.id for task in tasks if task.id not in found]
        long = rows.long(rest, metric)
        measured = rows.measured([i for i in rest if i not in long], metric)
        # An execution without measurements is remembered as such.
        found |= {i: Curve.whole(as_columns(measured.get(i, ()))) for i in rest if i not in long}
        for task_id, curve in found.items():
            if task_id in over:
                self._cache.put((principal.tenant_id, task_id, metric), curve, curve.nbytes)
        found |= self._long(unit, principal, [i for i in rest if i in long], over, metric)
        return found, [i for i in rest if i in long and i in over]

    def _long(
        self, unit: Unit, principal: Principal, task_ids: Sequence[str], over: set[str], metric: str
    ) -> dict[str, Curve]:
        if len(task_ids) <= _MOST_READ:
            found = {i: Curve.whole(read_whole(unit.curves, i, metric)) for i in task_ids}
        else:
            count = next((each for most, each in _SAMPLES.items() if len(task_ids) <= most), _FEWEST_SAMPLES)
            keys = {i: (principal.tenant_id, i, metric, count) for i in task_ids}
            found = {i: known for i, key in keys.items() if (known := self._samples.get(key)) is not None}
            rest = [i for i in task_ids if i not in found]
            for i, points in unit.outlines_for(principal).sampled(rest, metric, count).items():
                found[i] = curve = Curve.sampled(as_columns(points))
                if i in over:
                    self._samples.put(keys[i], curve, curve.nbytes)
        return found


def newest(tasks: Sequence[TaskOutline], numbers: set[int]) -> list[TaskOutline]:
    """Of each of these trials the newest execution that a runner has begun, by trial number."""
    found = {t.trial_number: t for t in tasks if t.claimed_at is not None and t.trial_number in numbers}
    return [found[number] for number in sorted(found)]
