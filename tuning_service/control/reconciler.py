"""The reconciler: takes leases of jobs that have work, and gives each its turn."""

import dataclasses
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue

import structlog
from structlog.contextvars import bound_contextvars

from tuning_service.compute.base import Capacity
from tuning_service.control.job_ctrl import Tools, TuningJobCtrl
from tuning_service.control.shares import Demand, grant, stated
from tuning_service.domain.errors import LeaseLost, TryAgain
from tuning_service.domain.pool import DEFAULT_POOL, ControllerSeen, Pool

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_LOOK_S = 1.0  # each job is looked at this often even when nothing points at it: budgets, lost tasks
_NEWS_S = 0.1
_WORD_S = 5.0  # a controller says at least this often that it is here
_LONGEST_PAUSE_S = 30.0


class Reconciler:
    """One thread that moves the status of every leased job towards its target.

    Any number of reconcilers may share a database: each job is driven by the one that holds its lease.
    """

    def __init__(
        self, tools: Tools, *, tick_s: float, lease_s: float, alone: bool, pool: str = DEFAULT_POOL, version: str = ""
    ) -> None:
        """`alone`: no other controller uses this database, so leases of whoever was here before are void."""
        self._tools = tools
        self._pool_name = pool
        self._pool: Pool | None = None  # as of the last look
        self._version = version
        self._started_at = tools.clock()
        self._problem = ""  # why Spark is not connected
        self._connected_before = False  # at the last try
        self._next_knock = 0.0
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
        self._seen = Capacity(cpus=0, gpus=0, largest_cpus=0, largest_gpus=0)  # by Spark
        self._capacity = self._seen  # or as the pool states it
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reconciler", daemon=True)
        self.ready = threading.Event()  # set while the compute backend is connected

    def start(self) -> None:
        """Begin, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """End, leaving all jobs for another controller to take up at once."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def notify(self, job_id: str) -> None:
        """Look at this job soon. From any thread."""
        self._hints.put(job_id)
        self._wake.set()

    # -- the thread

    def _run(self) -> None:
        if self._alone:
            self._guarded("leases", self._release_all)
        next_word = next_renewal = next_claim = next_look = 0.0
        while not self._stopping.is_set():
            if time.monotonic() >= next_word:
                self._guarded("word", self._give_word)
                next_word = time.monotonic() + min(self._lease_s / 3, _WORD_S)
            if not self._connected():
                continue
            self._wake.clear()
            hints = self._take_hints()
            now = time.monotonic()
            if now >= next_renewal:
                self._guarded("renew", self._renew)
                next_renewal = now + self._lease_s / 3
            if now >= next_claim or hints - self._jobs.keys():
                self._guarded("claim", self._claim)
                next_claim = now + self._tick_s
            self._due.update((job_id, 0.0) for job_id in hints & self._jobs.keys() - self._faults.keys())
            if now >= next_look:
                self._guarded("look", self._find_due)
                next_look = now + self._look_s
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

    def _connected(self) -> bool:
        if self.ready.is_set():
            return True
        try:
            self._tools.backend.start()
        except TryAgain as error:
            log.warning("compute backend cannot be reached", reason=error.message, detail=error.detail)
            self._problem, self._connected_before = error.message, False
            self._stopping.wait(self._tick_s)
            return False
        except Exception:
            log.exception("compute backend did not start")
            self._problem, self._connected_before = "Spark did not start; the controller's log says why.", False
            self._stopping.wait(self._tick_s)
            return False
        self.ready.set()
        if not self._connected_before:
            self._problem, self._connected_before = "", True
            self._guarded("word", self._give_word)
            log.info("compute backend connected")
        return True

    def _give_word(self) -> None:
        """Tell managers and operators that this controller is here, and how its Spark is."""
        now = self._tools.clock()
        seen = self._seen if self.ready.is_set() else Capacity(cpus=0, gpus=0, largest_cpus=0, largest_gpus=0)
        word = ControllerSeen(
            id=self._owner,
            pool=self._pool_name,
            version=self._version,
            host=socket.gethostname()[:255],
            pid=os.getpid(),
            started_at=self._started_at,
            seen_at=now,
            lease_s=self._lease_s,
            connected=self.ready.is_set(),
            problem=self._problem,
            cpus=seen.cpus,
            gpus=seen.gpus,
        )
        with self._tools.store.write() as unit:
            unit.pools.heard_of(word)

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
            due = unit.control.claimable_jobs(self._tools.clock(), held=self._jobs, pool=self._pool_name)
        if not due:
            return
        with self._tools.store.write() as unit:
            taken = unit.control.claim_jobs(due, self._owner, self._tools.clock(), self._lease_s)
        for lease in taken:
            self._jobs[lease.job_id] = TuningJobCtrl(lease, self._tools)
            self._due[lease.job_id] = 0.0

    def _find_due(self) -> None:
        """What other processes, or an earlier life of this one, have left to do."""
        with self._tools.store.read() as unit:
            self._pool = unit.pools.find(self._pool_name)
            due = unit.control.with_unsettled_tasks()
            targets = unit.control.targets(self._jobs)
            # Quotas are for all controllers together.
            self._elsewhere = {} if self._alone else unit.quotas.used_elsewhere(self._owner)
        due |= {job_id for job_id, ctrl in self._jobs.items() if targets.get(job_id) != ctrl.target}
        self._due.update((job_id, 0.0) for job_id in due & self._jobs.keys() - self._faults.keys())

    def _turns(self) -> None:
        """A turn for each job that is due; those that wait for slots have theirs when another's task ended."""
        self._seen = self._tools.backend.capacity()
        self._capacity = stated(self._pool) or self._seen
        now = time.monotonic()
        if not self._seen.cpus and now >= self._next_knock:
            self.ready.clear()  # connect again, in case the connection itself is gone
            self._next_knock = now + self._tick_s
        due = [job_id for job_id, when in self._due.items() if when <= now]
        if due:
            waiting = [job_id for job_id, ctrl in self._jobs.items() if ctrl.demand and ctrl.demand.wanted]
            due += [job_id for job_id in waiting if job_id not in due and job_id not in self._faults]
        for job_id in due:
            ctrl = self._jobs.get(job_id)
            if ctrl is not None and not self._stopping.is_set():
                self._turn(job_id, ctrl)

    def _turn(self, job_id: str, ctrl: TuningJobCtrl) -> None:
        with bound_contextvars(tenant=ctrl.lease.tenant_id, job=job_id):
            try:
                again = ctrl.step(lambda demand: self._grant(job_id, demand))
            except LeaseLost:
                log.warning("lease lost")
                self._drop(ctrl)
                return
            except Exception:
                # One job's trouble, or the database's: the other jobs go on, and this one is tried again later.
                faults = self._faults[job_id] = self._faults.get(job_id, 0) + 1
                pause = min(_LONGEST_PAUSE_S, 0.5 * 2**faults)
                log.exception("step failed", retry_in_s=pause)
                # What it remembers may not be what is stored: the next step reads that again.
                ctrl.close()
                self._due[job_id] = time.monotonic() + pause
                return
        self._faults.pop(job_id, None)
        if ctrl.finished:
            self._release(ctrl)
        else:
            self._due[job_id] = 0.0 if again else time.monotonic() + _LOOK_S

    def _grant(self, job_id: str, demand: Demand) -> tuple[int, str]:
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
        return grant(job_id, demands, self._capacity)

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

    def _leave(self) -> None:
        for ctrl in list(self._jobs.values()):
            self._guarded("release", partial(self._release, ctrl))
        self._guarded("forget", self._forget_me)

    def _guarded(self, what: str, action: Callable[[], None]) -> None:
        """The database may be away for a while; the thread must outlive that."""
        try:
            action()
        except Exception:
            log.exception("controller could not do its round", what=what)
            self._stopping.wait(self._tick_s)
