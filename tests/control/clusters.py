"""Compute backends that misbehave, each in its own way, with runners played through the real task desk."""

import threading
from concurrent.futures import ThreadPoolExecutor

from tuning_service.compute.base import Capacity, ComputeBackend, HandleStatus
from tuning_service.domain.errors import GiveUp, TryAgain
from tuning_service.domain.state import Decision, TaskStatus
from tuning_service.domain.trial import FaultKind, Measurement, Outcome
from tuning_service.runner.protocol import Claim, Report


class Cluster(ComputeBackend):
    """Behaves. Each task claims, measures and ends at once, unless `hold` is cleared: then it trains until told."""

    def __init__(self, desk, *, slots=2):
        self.desk, self.slots = desk, slots
        self.go_on = threading.Event()
        self.go_on.set()
        self.submitted, self.cancelled = [], []
        self.open, self.most_open = set(), 0
        self.claimed = threading.Semaphore(0)
        self._status = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(16)
        self._is_stopped = threading.Event()

    def start(self):
        pass

    def stop(self):
        self._is_stopped.set()
        self._pool.shutdown(cancel_futures=True)

    def capacity(self):
        return Capacity(cpus=self.slots, gpus=0, largest_cpus=self.slots, largest_gpus=0)

    def submit(self, tickets, resources):
        for ticket in tickets:
            with self._lock:
                self.submitted.append(ticket.task_id)
                self._status[ticket.task_id] = HandleStatus.PENDING
                self.open.add(ticket.task_id)
                self.most_open = max(self.most_open, len(self.open))
            self._pool.submit(self._run, ticket)

    def poll(self, handles):
        with self._lock:
            return {handle: self._status.get(handle, HandleStatus.LOST) for handle in handles}

    def cancel(self, handles):
        self.cancelled.extend(handles)

    def _run(self, ticket):
        try:
            self.run(ticket)
        finally:
            with self._lock:
                self._status[ticket.task_id] = HandleStatus.ENDED

    def run(self, ticket):
        try:
            plan = self.desk.claim(ticket.task_id, ticket.token, Claim(attempt=0, nonce=ticket.task_id, host="here"))
        except GiveUp:
            self.leave(ticket)
            return
        self.claimed.release()
        decision = Decision.CONTINUE
        while decision is Decision.CONTINUE and not self.go_on.wait(0.02) and not self._is_stopped.is_set():
            decision = self.desk.report(plan.task_id, plan.token, Report()).decision
        if self._is_stopped.is_set():
            return
        self.leave(ticket)
        status = TaskStatus.STOPPED if decision is Decision.STOP else TaskStatus.SUCCEEDED
        self.report(plan, status)

    def leave(self, ticket):
        with self._lock:
            self.open.discard(ticket.task_id)

    def report(self, plan, status):
        point = Measurement(step=1, metric="accuracy", value=0.5, elapsed_s=0.1)
        self.desk.report(plan.task_id, plan.token, Report(measurements=(point,), outcome=Outcome(status=status)))


class NeverStarts(Cluster):
    """Takes tasks, and nothing ever happens to them."""

    def submit(self, tickets, resources):
        with self._lock:
            for ticket in tickets:
                self.submitted.append(ticket.task_id)
                self._status[ticket.task_id] = HandleStatus.PENDING


class VanishesAfterSubmit(Cluster):
    """Knows nothing of the first tasks that it was given."""

    vanishing = 2

    def submit(self, tickets, resources):
        for ticket in tickets:
            if len(self.submitted) < self.vanishing:
                self.submitted.append(ticket.task_id)
            else:
                super().submit([ticket], resources)


class RefusesSubmit(Cluster):
    """Is too busy at first."""

    refusals = 2

    def submit(self, tickets, resources):
        if self.refusals:
            self.refusals -= 1
            raise TryAgain("Too busy.")
        super().submit(tickets, resources)


class Breaks(RefusesSubmit):
    """Raises, at first, what no contract allows."""

    refusals = 1

    def submit(self, tickets, resources):
        if self.refusals:
            self.refusals -= 1
            raise ZeroDivisionError
        super().submit(tickets, resources)


class EndsWithoutReport(Cluster):
    """Executors die before the runner has said a word; of `deaths` tasks."""

    deaths = 2

    def run(self, ticket):
        with self._lock:
            self.deaths -= 1
            dies = self.deaths >= 0
        if dies:
            self.leave(ticket)
        else:
            super().run(ticket)


class FetchesNothing(Cluster):
    """Its runners cannot be given the program, so often."""

    misses = 6

    def report(self, plan, status):
        if self.misses:
            self.misses -= 1
            outcome = Outcome(status=TaskStatus.LOST, fault=FaultKind.SERVICE, reason="no program")
            self.desk.report(plan.task_id, plan.token, Report(outcome=outcome))
        else:
            super().report(plan, status)


class LosesEverything(EndsWithoutReport):
    deaths = 1_000_000


class Fails(Cluster):
    """Every program fails."""

    def report(self, plan, status):
        outcome = Outcome(status=TaskStatus.FAILED, reason="exit code 1")
        self.desk.report(plan.task_id, plan.token, Report(outcome=outcome))
