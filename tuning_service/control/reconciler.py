"""The reconciler: takes leases of jobs that have work, and gives each its turn."""

import dataclasses
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue

import structlog
from structlog.contextvars import bound_contextvars

from tuning_service.compute.base import Capacity
from tuning_service.control.cordons import PARKED_S, leave_out, why_none, without
from tuning_service.control.handover import Handover
from tuning_service.control.job_ctrl import Tools, TuningJobCtrl
from tuning_service.control.shares import FOR_SLOTS, Demand, grant, stated
from tuning_service.control.standby import Standby
from tuning_service.control.standing import say
from tuning_service.domain.errors import LeaseLost, TryAgain, TuningError
from tuning_service.domain.pool import DEFAULT_POOL, ControllerSeen, Cordon, Pool
from tuning_service.storage.cordons import Parked
from tuning_service.storage.store import Unit

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_LOOK_S = 1.0  # each job is looked at this often even when nothing points at it: budgets, lost tasks
_NEWS_S = 0.1
_WORD_S = 5.0  # a controller says at least this often that it is here
_STUCK_S = 10.0  # a controller that has not come round for so long, or for its lease, says so
_DOUBT_S = 5.0  # executors are looked at this often
_LONGEST_PAUSE_S = 30.0
_TOLD_FAULTS = 3  # after so many steps in a row that failed, their job says so
_NO_SLOTS = Capacity(cpus=0, gpus=0, largest_cpus=0, largest_gpus=0)
_NOT_STARTED = "Spark did not start; the controller's log says why."


class Reconciler:
    """One thread that moves the status of every leased job towards its target.

    Any number of reconcilers may share a database: each job is driven by the one that holds its lease.
    """

    def __init__(
        self,
        tools: Tools,
        *,
        tick_s: float,
        lease_s: float,
        alone: bool,
        pool: str = DEFAULT_POOL,
        version: str = "",
        clock_skew: Callable[[], float] = float,
    ) -> None:
        """`alone`: no other controller uses this database, so leases of whoever was here before are void.

        `clock_skew`: by how much the machine's clock is ahead of the one in `tools`, which is to be the database's.
        """
        self._tools = tools
        self._pool_name = pool
        self._pool: Pool | None = None  # as of the last look
        self._version = version
        self._clock_skew = clock_skew
        self._started_at = tools.clock()
        self._problem = ""  # why Spark is not connected
        self._connect_at = 0.0  # not before this is that tried again (monotonic)
        self._tick_s = tick_s
        self._lease_s = lease_s
        self._alone = alone
        # Beside managers in other processes, news are found by looking; in one process they come through `notify`.
        self._look_s = tick_s if alone else min(tick_s, _NEWS_S)
        self._owner = f"controller-{uuid.uuid4().hex[:12]}"
        self._jobs: dict[str, TuningJobCtrl] = {}
        self._due: dict[str, float] = {}  # job -> when to look at it next (monotonic)
        self._faults: dict[str, int] = {}
        self._elsewhere: dict[str, tuple[int, float]] = {}  # by tenant: tasks and GPUs of other controllers' jobs
        self._hints: SimpleQueue[str] = SimpleQueue()  # jobs to look at soon
        self._seen = _NO_SLOTS  # by Spark
        self._capacity = self._seen  # or as the pool states it
        self._cordons: list[Cordon] = []
        self._parked: list[Parked] = []  # slots on executors that are left out
        self._standby = Standby()
        self._handover = Handover()
        self._round_at = time.monotonic()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reconciler", daemon=True)
        # A thread of its own: Spark may take minutes to start, and whoever is silent for that long counts as gone.
        self._speaker = threading.Thread(target=self._speak, name="word", daemon=True)
        # Two threads give the word; what one has looked at earlier must not be written later.
        self._speaking = threading.Lock()
        self.ready = threading.Event()  # set while the compute backend is connected

    def start(self) -> None:
        """Begin, in threads of its own."""
        self._speaker.start()
        self._thread.start()

    def stop(self) -> None:
        """End, leaving all jobs for another controller to take up at once."""
        self._stopping.set()
        self._wake.set()
        for thread in (self._thread, self._speaker):
            if thread.is_alive():
                thread.join()

    def notify(self, job_id: str) -> None:
        """Look at this job soon. From any thread."""
        self._hints.put(job_id)
        self._wake.set()

    # -- the thread

    def _run(self) -> None:
        if self._alone:
            self._guarded("leases", self._release_all)
        next_renewal = next_claim = next_look = next_doubt = 0.0
        while not self._stopping.is_set():
            self._round_at = time.monotonic()
            self._connect()
            self._wake.clear()
            hints = self._take_hints()
            now = time.monotonic()
            if now >= next_renewal:
                self._guarded("renew", self._renew)
                next_renewal = now + self._lease_s / 3
            if now >= next_claim or hints - self._jobs.keys():
                self._guarded("claim", self._claim)
                next_claim = now + self._tick_s
            if self._standby.gives_up and self._jobs:
                self._guarded("give up", self._give_up)
            self._due.update((job_id, 0.0) for job_id in hints & self._jobs.keys() - self._faults.keys())
            if now >= next_look:
                self._guarded("look", self._find_due)
                next_look = now + self._look_s
            if now >= next_doubt:
                self._guarded("cordons", lambda: leave_out(self._tools.store, self._pool_name, self._tools.clock()))
                next_doubt = now + _DOUBT_S
            self._guarded("turns", self._turns)
            pause = min([self._look_s, *(due - time.monotonic() for due in self._due.values())])
            self._wake.wait(max(0.0, pause))
        self._leave()

    def _take_hints(self) -> set[str]:
        hints = set()
        with suppress(Empty):
            while True:
                hints.add(self._hints.get_nowait())
        return hints

    def _connect(self) -> None:
        """See that Spark is connected, if it can be. Without it jobs are stopped and deleted all the same."""
        # Without executors it is started again, in case the connection itself is gone; else that does nothing.
        if (self.ready.is_set() and self._seen.cpus) or time.monotonic() < self._connect_at:
            return
        try:
            self._tools.backend.start()
        except TryAgain as error:
            if self._problem != error.message:
                log.warning("compute backend cannot be reached", reason=error.message, detail=error.detail)
            self._disconnected(error.message)
        except Exception:
            if self._problem != _NOT_STARTED:
                log.exception("compute backend did not start")
            self._disconnected(_NOT_STARTED)
        else:
            if not self.ready.is_set():
                self.ready.set()
                self._problem = ""
                self._guarded("word", self._give_word)
                log.info("compute backend connected")

    def _disconnected(self, problem: str) -> None:
        self.ready.clear()
        self._problem = problem
        self._connect_at = time.monotonic() + self._tick_s

    def _speak(self) -> None:
        while not self._stopping.is_set():
            self._guarded("word", self._give_word)
            self._stopping.wait(min(self._lease_s / 3, _WORD_S))

    def _give_word(self) -> None:
        """Tell managers and operators that this controller is here, and how its Spark is."""
        with self._speaking:
            word = self._word()
            with self._tools.store.write() as unit:
                unit.pools.heard_of(word)

    def _word(self) -> ControllerSeen:
        now = self._tools.clock()
        connected, problem = self.ready.is_set(), self._problem or self._standby.problem
        stuck_s = time.monotonic() - self._round_at
        if stuck_s > max(_STUCK_S, self._lease_s):
            connected = False
            problem = problem or f"its controller has waited for {stuck_s:.0f} s for Spark or the database."
        seen = self._seen if self.ready.is_set() else _NO_SLOTS
        return ControllerSeen(
            id=self._owner,
            pool=self._pool_name,
            version=self._version,
            host=socket.gethostname()[:255],
            pid=os.getpid(),
            started_at=self._started_at,
            seen_at=now,
            lease_s=self._lease_s,
            connected=connected,
            problem=problem,
            cpus=seen.cpus,
            gpus=seen.gpus,
            skew_s=round(self._clock_skew(), 3),
        )

    def _forget_me(self) -> None:
        with self._tools.store.write() as unit:
            unit.pools.forget(self._owner, self._tools.clock())

    def _release_all(self) -> None:
        with self._tools.store.write() as unit:
            unit.control.release_all()

    def _renew(self) -> None:
        now = self._tools.clock()
        with self._tools.store.write() as unit:
            lost = [ctrl for ctrl in self._jobs.values() if not unit.control.renew(ctrl.lease, now, self._lease_s)]
        for ctrl in lost:
            log.warning("lease lost", tenant=ctrl.lease.tenant_id, job=ctrl.lease.job_id)
            self._drop(ctrl)

    def _claim(self) -> None:
        with self._tools.store.read() as unit:
            seen = [] if self._alone else unit.pools.controllers(self._pool_name)
            others = [other for other in seen if other.id != self._owner]
            self._stand_by(others)
            better_off = self._better_off(unit, others)
            held = [*self._jobs, *self._handover.held_back]
            due = unit.control.claimable_jobs(self._tools.clock(), held=held, pool=self._pool_name)
        for job_id in better_off:
            self._leave_to_others(self._jobs[job_id])
        if not (due and self._standby.claims):
            return
        with self._tools.store.write() as unit:
            taken = unit.control.claim_jobs(due, self._owner, self._tools.clock(), self._lease_s)
        for lease in taken:
            self._jobs[lease.job_id] = TuningJobCtrl(lease, self._tools)
            self._due[lease.job_id] = 0.0

    def _stand_by(self, others: Sequence[ControllerSeen]) -> None:
        able = self.ready.is_set() and (bool(self._seen.cpus) or stated(self._pool) is not None)
        self._standby.look(is_able=able, others=others, now=self._tools.clock())

    def _give_up(self) -> None:
        """Leave all jobs to a controller that has executors for them."""
        for ctrl in list(self._jobs.values()):
            self._leave_to_others(ctrl)

    def _leave_to_others(self, ctrl: TuningJobCtrl) -> None:
        log.info("job left to another controller", tenant=ctrl.lease.tenant_id, job=ctrl.lease.job_id)
        self._release(ctrl)

    def _better_off(self, unit: Unit, others: Sequence[ControllerSeen]) -> list[str]:
        """Jobs that wait here for slots of which another controller has some free."""
        now = self._tools.clock()
        able = [other for other in others if other.is_alive(now) and other.connected and not other.problem]
        due = self._handover.due if able else []
        # Which slots of another controller are on executors that are left out, only that one knows.
        if not due or self._cordons or stated(self._pool):
            return []
        demands = {key: demand for key in due if key in self._jobs and (demand := self._jobs[key].demand)}
        waiting = {key: demand for key, demand in demands.items() if demand.wanted and not demand.running}
        # A slot that is free only until the next one who waits there has it is none.
        contended = unit.pools.controllers_with(reason=FOR_SLOTS)
        able = [other for other in able if other.id not in contended]
        return list(self._handover.leave(waiting, able, unit.pools.used_by_controllers()))

    def _find_due(self) -> None:
        """What other processes, or an earlier life of this one, have left to do."""
        with self._tools.store.read() as unit:
            self._pool = unit.pools.find(self._pool_name)
            due = unit.control.with_unsettled_tasks()
            targets = unit.control.targets(self._jobs)
            # Quotas are for all controllers together.
            self._elsewhere = {} if self._alone else unit.quotas.used_elsewhere(self._owner)
            now = self._tools.clock()
            self._cordons = [c for c in unit.cordons.of_pool(self._pool_name) if c.holds(now)]
        due |= {job_id for job_id, ctrl in self._jobs.items() if targets.get(job_id) != ctrl.target}
        self._due.update((job_id, 0.0) for job_id in due & self._jobs.keys() - self._faults.keys())

    def _turns(self) -> None:
        """A turn for each job that is due; those that wait for slots have theirs when another's task ended."""
        self._seen = self._tools.backend.capacity() if self.ready.is_set() else _NO_SLOTS
        self._capacity = (stated(self._pool) if self.ready.is_set() else None) or self._seen
        self._parked = self._held_for_nothing() if self._cordons else []
        now = time.monotonic()
        due = [job_id for job_id, when in self._due.items() if when <= now]
        if due:
            waiting = [job_id for job_id, ctrl in self._jobs.items() if ctrl.demand and ctrl.demand.wanted]
            due += [job_id for job_id in waiting if job_id not in due and job_id not in self._faults]
        for job_id in due:
            ctrl = self._jobs.get(job_id)
            if ctrl is not None and not self._stopping.is_set():
                self._turn(job_id, ctrl)

    def _held_for_nothing(self) -> list[Parked]:
        with self._tools.store.read() as unit:
            return unit.cordons.parked(self._owner, self._tools.clock() - PARKED_S)

    def _turn(self, job_id: str, ctrl: TuningJobCtrl) -> None:
        with bound_contextvars(tenant=ctrl.lease.tenant_id, job=job_id):
            try:
                again = ctrl.step(lambda demand: self._grant(job_id, demand))
            except LeaseLost:
                log.warning("lease lost")
                self._drop(ctrl)
                return
            except Exception as error:
                # One job's trouble, or the database's: the other jobs go on, and this one is tried again later.
                faults = self._faults[job_id] = self._faults.get(job_id, 0) + 1
                pause = min(_LONGEST_PAUSE_S, 0.5 * 2**faults)
                log.exception("step failed", retry_in_s=pause)
                # What it remembers may not be what is stored: the next step reads that again.
                ctrl.close()
                self._due[job_id] = time.monotonic() + pause
                if faults == _TOLD_FAULTS:
                    self._guarded("say", partial(self._say, ctrl, error))
                return
        self._faults.pop(job_id, None)
        if ctrl.finished:
            self._release(ctrl)
        else:
            self._due[job_id] = 0.0 if again else time.monotonic() + _LOOK_S

    def _say(self, ctrl: TuningJobCtrl, error: Exception) -> None:
        """Its user is not to wait without a word: the next step that succeeds takes it back."""
        what = error.message if isinstance(error, TuningError) else f"{type(error).__name__}."
        reason = f"Waits: the service cannot go on with it, and tries again: {what} The controller's log says more."
        with suppress(LeaseLost), self._tools.store.write() as unit:
            say(unit, ctrl.lease, reason, self._tools.clock())

    def _grant(self, job_id: str, demand: Demand) -> tuple[int, str]:
        count, waiting = self._granted(job_id, demand)
        self._handover.note(job_id, demand, waiting)
        return count, waiting

    def _granted(self, job_id: str, demand: Demand) -> tuple[int, str]:
        demands = {key: ctrl.demand for key, ctrl in self._jobs.items() if ctrl.demand is not None}
        for key in self._faults.keys() & demands.keys():
            # It cannot use slots while its steps fail, so none are kept for it.
            demands[key] = dataclasses.replace(demands[key], wanted=0)
        if self._pool is not None and self._pool.drained:
            return 0, f"Waits: the pool {self._pool.name!r} is drained; its operator says when it goes on."
        demands[job_id] = demand
        for key, each in demands.items():
            tasks, gpus = self._elsewhere.get(each.tenant_id, (0, 0.0))
            demands[key] = dataclasses.replace(each, elsewhere=tasks, gpus_elsewhere=gpus)
        free = without(self._capacity, self._parked)
        if self._parked and self._capacity.slots(demand.resources) and not free.slots(demand.resources):
            return 0, why_none(self._cordons, self._parked)
        return grant(job_id, demands, free)

    def _release(self, ctrl: TuningJobCtrl) -> None:
        with self._tools.store.write() as unit:
            unit.control.release(ctrl.lease)
        self._drop(ctrl)

    def _drop(self, ctrl: TuningJobCtrl) -> None:
        ctrl.close()
        job_id = ctrl.lease.job_id
        self._jobs.pop(job_id, None)
        self._due.pop(job_id, None)
        self._faults.pop(job_id, None)
        self._handover.forget(job_id)

    def _leave(self) -> None:
        for ctrl in list(self._jobs.values()):
            self._guarded("release", partial(self._release, ctrl))
        self._speaker.join()  # a word after the farewell would bring this controller back
        self._guarded("forget", self._forget_me)

    def _guarded(self, what: str, action: Callable[[], None]) -> None:
        """The database may be away for a while; the thread must outlive that."""
        try:
            action()
        except Exception:
            log.exception("controller could not do its round", what=what)
            self._stopping.wait(self._tick_s)
