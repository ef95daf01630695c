"""The compute backend on Spark: `local[*]`, a standalone cluster, YARN or Kubernetes."""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tuning_service.compute.base import Capacity, ComputeBackend, HandleStatus
from tuning_service.compute.connection import CONNECTION_ERRORS, SparkConnection, SparkJob, words_of
from tuning_service.compute.gpus import GpuPool
from tuning_service.compute.settings import SparkSettings
from tuning_service.compute.shipping import RUNNER, TaskEnd
from tuning_service.domain.errors import TryAgain
from tuning_service.domain.job import Resources
from tuning_service.runner.protocol import TaskTicket

__all__ = ["SparkBackend", "SparkSettings"]

_NOTHING = Capacity(cpus=0, gpus=0, largest_cpus=0, largest_gpus=0)
_LOOK_S = 1.0  # Spark is asked at most so often how its jobs and executors are
_REMEMBERED = 10_000  # handles that ended; older ones are unknown, hence LOST
_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Batch:
    """The tasks of one Spark job. `job` is None while it is being handed over."""

    open: set[str]
    job: SparkJob | None = None
    cancelled: set[str] = field(default_factory=set)
    look_at: float = 0.0  # not before this is Spark asked about it


class SparkBackend(ComputeBackend):
    """See `ComputeBackend`.

    A handle is ENDED as soon as its own Spark task is, whatever its siblings do: each task says so through an
    accumulator. When the Spark job is over, what never said so is ENDED if the job succeeded, FAILED if one of its
    tasks failed too often, else LOST.

    Only one can be started in a Python process, for PySpark has room for one driver.
    """

    def __init__(self, settings: SparkSettings, *, runner: str = RUNNER) -> None:
        """`runner` is "module:function", called on executors with (ticket, attempt, gpus)."""
        self.settings = settings
        self._runner = runner
        self._life = threading.RLock()  # held while starting and stopping
        # For what follows. Never held during a call to Spark: its event loop waits for `_on_end`, which takes it.
        self._lock = threading.Lock()
        self._connection: SparkConnection | None = None
        self._gpus = GpuPool(settings.local_gpus)
        self._batches: dict[str, _Batch] = {}  # of each open handle
        self._ended: OrderedDict[str, HandleStatus] = OrderedDict()
        self._failures: dict[str, str] = {}  # of those that are FAILED
        self._capacity = _NOTHING
        self._looked_at = float("-inf")
        self._seen_at: float | None = None  # when there last was an executor; None before the first

    def start(self) -> None:
        with self._life:
            if self._connection and self._connection.is_alive():
                return
            self.stop()
            self._seen_at, self._looked_at = None, float("-inf")
            self._connection = SparkConnection(self.settings, self._runner, self._on_end)

    def stop(self) -> None:
        with self._life:
            connection, self._connection = self._connection, None
            if connection:
                connection.close()
            self._lose_all()

    def capacity(self) -> Capacity:
        self._look()
        return self._capacity

    def submit(self, tickets: Sequence[TaskTicket], resources: Resources) -> None:
        handles = [ticket.task_id for ticket in tickets]
        connection = self._connected()
        if not tickets:
            return
        batch = self._register(handles)
        try:
            if self.settings.is_local:
                gpus = self._gpus.acquire(handles, resources.gpus)
                tickets = [replace(ticket, gpus=gpus[ticket.task_id]) for ticket in tickets]
            batch.job = connection.submit(tickets, resources)
        except CONNECTION_ERRORS as error:
            self._unregister(handles)
            self._looked_at = float("-inf")  # the next question finds out whether Spark is gone
            raise TryAgain("Spark did not take the tasks.", detail=words_of(error)) from error
        except BaseException:
            self._unregister(handles)
            raise
        if batch.open <= batch.cancelled:
            self._cancel(batch)
        if self._connection is not connection:  # stopped meanwhile, too late for `stop` to see this batch
            self._lose_all()

    def poll(self, handles: Collection[str]) -> Mapping[str, HandleStatus]:
        self._look()
        with self._lock:
            return {
                handle: HandleStatus.PENDING if handle in self._batches else self._ended.get(handle, HandleStatus.LOST)
                for handle in handles
            }

    def failure(self, handle: str) -> str:
        with self._lock:
            return self._failures.get(handle, "")

    def cancel(self, handles: Collection[str]) -> None:
        """See `ComputeBackend`. A Spark job is cancelled once all its open tasks are to end.

        A task whose siblings go on is left alone: Spark starts a killed task again, only for its claim to be refused.
        """
        with self._lock:
            batches = set()
            for handle in handles:
                if batch := self._batches.get(handle):
                    batch.cancelled.add(handle)
                    batches.add(batch)
            doomed = [batch for batch in batches if batch.open <= batch.cancelled]
        for batch in doomed:
            self._cancel(batch)

    def _cancel(self, batch: _Batch) -> None:
        if batch.job is None:
            return
        try:
            batch.job.cancel()
        except CONNECTION_ERRORS as error:
            _log.warning("Spark did not take the cancellation: %s", words_of(error))
        batch.look_at = 0.0

    def _connected(self) -> SparkConnection:
        connection = self._connection
        if connection is None:
            raise TryAgain(f"There is no connection to Spark at {self.settings.master}.")
        return connection

    def _register(self, handles: Sequence[str]) -> _Batch:
        """Known from here on: a task may end, and be asked for, before Spark's answer is back."""
        batch = _Batch(open=set(handles), look_at=time.monotonic() + _LOOK_S)
        with self._lock:
            if len(batch.open) < len(handles) or any(handle in self._batches for handle in handles):
                raise ValueError("a task was submitted twice")
            for handle in handles:
                self._ended.pop(handle, None)
                self._failures.pop(handle, None)
                self._batches[handle] = batch
        return batch

    def _unregister(self, handles: Sequence[str]) -> None:
        with self._lock:
            for handle in handles:
                self._batches.pop(handle, None)
                self._gpus.release(handle)

    def _on_end(self, end: TaskEnd) -> None:
        if end.error:
            _log.error("The runner of task %s raised:\n%s", end.task_id, end.error)
        batch = self._finish([end.task_id], HandleStatus.ENDED)
        if batch and batch.open and batch.open <= batch.cancelled:
            # The last one that held up a cancellation. Spark waits for this call, so it is cancelled from elsewhere.
            threading.Thread(target=self._cancel, args=(batch,), daemon=True).start()

    def _finish(self, handles: Collection[str], status: HandleStatus, failure: str = "") -> _Batch | None:
        batch = None
        with self._lock:
            for handle in handles:
                if handle not in self._batches:
                    continue
                batch = self._batches.pop(handle)
                batch.open.discard(handle)
                self._gpus.release(handle)
                self._ended[handle] = status
                if failure:
                    self._failures[handle] = failure
            while len(self._ended) > _REMEMBERED:
                oldest, _ = self._ended.popitem(last=False)
                self._failures.pop(oldest, None)
        return batch

    def _lose_all(self) -> None:
        with self._lock:
            handles = list(self._batches)
        self._finish(handles, HandleStatus.LOST)

    def _look(self) -> None:
        """Brings up to date what accumulators do not tell: jobs that failed, executors, and Spark itself gone."""
        connection, now = self._connection, time.monotonic()
        if connection is None:
            self._capacity = _NOTHING
            return
        try:
            if now >= self._looked_at + _LOOK_S:
                self._looked_at = now
                self._look_at_executors(connection, now)
            self._look_at_jobs(now)
        except CONNECTION_ERRORS as error:
            if connection.is_alive():
                _log.warning("Spark did not answer: %s", words_of(error))
            else:
                self._disconnect(connection, "it is gone")

    def _look_at_executors(self, connection: SparkConnection, now: float) -> None:
        if not connection.is_alive():
            self._disconnect(connection, "its driver has stopped")
            return
        executors = connection.executors()
        if executors:
            self._seen_at = now
        elif (
            self.settings.may_be_forgotten
            and self._seen_at is not None
            and now > self._seen_at + self.settings.patience_s
        ):
            self._disconnect(connection, f"it had no executor for {self.settings.patience_s:g} s")
            return
        local_gpus = len(self.settings.local_gpus)
        self._capacity = Capacity(
            cpus=sum(executor.cpus for executor in executors),
            gpus=local_gpus or sum(executor.gpus for executor in executors),
            largest_cpus=max((executor.cpus for executor in executors), default=0),
            largest_gpus=local_gpus or max((executor.gpus for executor in executors), default=0),
        )

    def _look_at_jobs(self, now: float) -> None:
        with self._lock:
            due = {id(batch): batch for batch in self._batches.values() if batch.job and batch.look_at <= now}
        for batch in due.values():
            batch.look_at = now + _LOOK_S
            if batch.job and batch.job.is_done():
                failure = batch.job.failure() if batch.open else None
                if failure is None:
                    self._finish(tuple(batch.open), HandleStatus.ENDED)
                    continue
                if not batch.open <= batch.cancelled:  # a job that we cancelled has "failed", too
                    _log.warning("A Spark job failed with %d open tasks: %s", len(batch.open), failure.words)
                status = HandleStatus.FAILED if failure.by_tasks else HandleStatus.LOST
                self._finish(tuple(batch.open), status, failure.words if failure.by_tasks else "")

    def _disconnect(self, connection: SparkConnection, why: str) -> None:
        """All handles are LOST and `submit` raises TryAgain, until the next `start`."""
        with self._life:
            if self._connection is connection:
                _log.error("Spark at %s is lost: %s.", self.settings.master, why)
                self.stop()
                self._capacity = _NOTHING
