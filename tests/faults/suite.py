"""Faults one after another, with jobs running all the while, and checks after each."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.faults.checks import (
    Asked,
    check_ended,
    check_jobs,
    check_logs,
    check_now,
    check_orphans,
    check_unheard,
    check_usage,
)
from tests.faults.faults import UNHEARD, Fault, inject
from tests.faults.world import LEASE_S, SLOTS, TENANTS, World
from tuning_service.client import TuningApiError, TuningClient

_WELL_S = 150.0  # the longest that everything may take to be well again
_IDLE_S = 20.0
_STEPS = 10
_ENDED = {"completed", "failed", "stopped"}


class Suite:
    """One run of a plan. `report` is what came of it."""

    def __init__(
        self, folder: Path, faults: Sequence[Fault], *, seed: int, trials: int, deadline: float, enough: int = 1000
    ) -> None:
        """No further fault begins after `deadline` (monotonic), nor once `enough` of them have happened."""
        self.folder, self.faults, self.seed, self.trials, self.deadline = folder, faults, seed, trials, deadline
        self.enough = enough
        self.report: dict[str, Any] = {"seed": seed, "planned": [f.to_json() for f in faults], "faults": []}
        self.problems: list[str] = []
        self._jobs: list[Asked] = []
        self._running: dict[str, Asked] = {}
        self._began = time.monotonic()
        self._is_well = True  # what was done before is mended, and over

    def run(self) -> dict[str, Any]:
        with World(self.folder, self._say) as world:
            try:
                self.report["network"] = "namespace" if world.network else "forwarder"
                self._keep_busy(world)
                for fault in self.faults:
                    if time.monotonic() > self.deadline or self.problems or self._happened >= self.enough:
                        break
                    self._one(world, fault)
                self._finish(world)
            finally:
                self.report |= {
                    "exits": world.exits,
                    "jobs": len(self._jobs),
                    "trials": sum(job.trials for job in self._jobs),
                    "problems": self.problems,
                    "seconds": round(time.monotonic() - self._began, 1),
                }
        if left := world.deployment.processes():
            self.problems.append(f"left behind: {left}")
        return self.report

    @property
    def _happened(self) -> int:
        return sum(fault["happened"] for fault in self.report["faults"])

    def _one(self, world: World, fault: Fault) -> None:
        self._until_training(world)
        self._wait(world, fault.after_s)
        self._say(f"fault {len(self.report['faults']) + 1}: {fault.kind}, {fault.lasts_s} s")
        victim, began_at, well_before = self._owner(world, fault), time.time(), self._is_well
        mend = inject(fault, world)
        entry = {"kind": fault.kind, "at_s": round(time.monotonic() - self._began, 1), "happened": mend is not None}
        self.report["faults"].append(entry)
        if mend is None:
            return
        time.sleep(fault.lasts_s)
        if victim:
            entry["taken_over_s"] = round(fault.lasts_s + self._until_taken_over(world, victim), 1)
        self._is_well = not fault.overlaps
        mended_at = time.time()
        mend()
        world.keep_up()
        if not fault.overlaps:
            began = time.monotonic()
            self._until_well(world, mended_at, fault.kind)
            entry["well_after_s"] = round(time.monotonic() - began, 1)
        self._note(check_now(world, list(self._running.values())))
        if fault.kind in UNHEARD and well_before:
            self._note(check_unheard(world, began_at, fault.kind))
        self._keep_busy(world)

    def _owner(self, world: World, fault: Fault) -> str:
        """The controller that is to be without its jobs before it is mended, as they know it; "" for other faults."""
        if "controller" not in fault.kind or fault.lasts_s < LEASE_S:
            return ""
        process = world.controllers[fault.which % 2].process
        assert process is not None
        rows = world.rows("SELECT id FROM controllers WHERE pid = %s ORDER BY started_at DESC LIMIT 1", process.pid)
        return rows[0]["id"] if rows else ""

    def _until_taken_over(self, world: World, victim: str) -> float:
        """Seconds until another one drives all jobs of this controller."""
        began = time.monotonic()
        while world.rows("SELECT id FROM tuning_jobs WHERE ended_at IS NULL AND lease_owner = %s", victim):
            if time.monotonic() > began + _WELL_S:
                self.problems.append(f"nobody takes the jobs of {victim} over: {self._state(world)}")
                break
            time.sleep(0.1)
        return time.monotonic() - began

    def _until_training(self, world: World) -> None:
        """So that a fault has something to do harm to; but some have it that nothing trains for a minute."""
        deadline = time.monotonic() + _IDLE_S
        while not world.trainings() and time.monotonic() < deadline:
            world.keep_up()
            self._wait(world, 0.2)

    def _until_well(self, world: World, since: float, what: str) -> None:
        """A training has told of itself, through the mended service, and no former one still runs."""
        deadline = time.monotonic() + _WELL_S
        while not world.rows("SELECT id FROM tuning_tasks WHERE heartbeat_at > %s LIMIT 1", since):
            if time.monotonic() > deadline:
                self.problems.append(f"nothing goes on {_WELL_S:g} s after {what!r}: {self._state(world)}")
                return
            world.keep_up()
            self._keep_busy(world)
            time.sleep(0.2)
        self._note(check_orphans(world, 60))

    def _wait(self, world: World, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._keep_busy(world)
            time.sleep(0.2)

    def _keep_busy(self, world: World) -> None:
        """Each tenant has a job; one that has ended is checked."""
        for tenant in TENANTS:
            job = self._running.get(tenant)
            if job and not self._has_ended(world, job):
                continue
            if job:
                self._note(check_ended(world, job))
                del self._running[tenant]
            self._running[tenant] = self._submit(world, tenant)

    def _submit(self, world: World, tenant: str, *, trials: int = 0, gate: Path | None = None) -> Asked:
        trials = trials or self.trials
        seed = 1000 * self.seed + len(self._jobs)
        job_id = world.submit(tenant, trials=trials, steps=_STEPS, seed=seed, gate=gate)
        job = Asked(id=job_id, tenant=tenant, trials=trials, steps=_STEPS)
        self._jobs.append(job)
        return job

    def _has_ended(self, world: World, job: Asked) -> bool:
        [row] = world.rows("SELECT status FROM tuning_jobs WHERE id = %s", job.id)
        return row["status"] in _ENDED

    def _finish(self, world: World) -> None:
        """All jobs end, nothing is left of them, and each controller's slots are all free."""
        deadline = time.monotonic() + _WELL_S + 8 * self.trials
        while self._running and not self.problems:
            if time.monotonic() > deadline:
                self.problems.append(f"jobs do not end: {self._state(world)}")
                return
            world.keep_up()
            for tenant, job in list(self._running.items()):
                if self._has_ended(world, job):
                    self._note(check_ended(world, job))
                    del self._running[tenant]
            time.sleep(0.3)
        if self.problems:
            self.report["state"] = self._state(world)
            return
        self._note(check_orphans(world, 60))
        self._slots(world)
        for job in self._jobs:
            self._note(check_logs(world, job))
        self._note(check_jobs(world, self._jobs))
        self._note(check_usage(world))

    def _slots(self, world: World) -> None:
        """Alone, each controller runs as many trials at once as it has slots."""
        for alone, other in (world.controllers, world.controllers[::-1]):
            assert other.process is not None
            other.process.terminate()
            other.process.wait(60)
            gate = self.folder / f"gate-{len(self._jobs)}"
            job = self._submit(world, TENANTS[0], trials=SLOTS, gate=gate)
            deadline = time.monotonic() + _WELL_S
            while (
                len(world.rows("SELECT id FROM tuning_tasks WHERE job_id = %s AND status = 'claimed'", job.id)) < SLOTS
            ):
                if time.monotonic() > deadline:
                    self.problems.append(f"slots are leaked: {self._state(world)}")
                    break
                time.sleep(0.2)
            gate.touch()
            while not self._has_ended(world, job) and time.monotonic() < deadline + 60:
                time.sleep(0.2)
            self._note(check_ended(world, job))
            world.start(other)
            assert alone.runs

    def _note(self, problems: Sequence[str]) -> None:
        for problem in problems:
            self._say(f"PROBLEM: {problem}")
        self.problems.extend(problems)

    def _state(self, world: World) -> dict[str, Any]:
        state: dict[str, Any] = {
            "jobs": world.rows(
                "SELECT id, status, reason, lease_owner, lease_until FROM tuning_jobs WHERE ended_at IS NULL"
            ),
            "tasks": world.rows("SELECT id, status, handle, heartbeat_at FROM tuning_tasks WHERE ended_at IS NULL"),
            "controllers": world.rows("SELECT id, pid, seen_at, connected, problem, cpus FROM controllers"),
            "now": time.time(),
            "trainings": world.trainings(),
        }
        try:
            with TuningClient(world.front.url, world.deployment.operator_key, timeout_s=5, retry_s=5) as client:
                state["pools"] = client.pools()
        except TuningApiError as error:
            state["pools"] = str(error)
        return state

    def _say(self, text: str) -> None:
        print(f"{time.monotonic() - self._began:7.1f} {text}", file=sys.stderr, flush=True)
