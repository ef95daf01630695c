"""Whether anything was lost: what is stored, against what trainings themselves noted beside the service."""

import json
import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.world import PRICE, SLOTS, World

_OPEN = ("created", "submitted", "claimed")
_HOUR_S = 3600.0


@dataclass
class Record:
    """What one execution noted: value by step."""

    values: dict[int, float] = field(default_factory=dict)
    ended: bool = False


@dataclass(frozen=True)
class Asked:
    """A job that was submitted."""

    id: str
    tenant: str
    trials: int
    steps: int


def read_record(path: Path) -> Record:
    record = Record()
    for line in path.read_text().splitlines():
        note = json.loads(line)
        if "step" in note:
            assert note["step"] not in record.values, f"{path.name}: two executions under one name"
            record.values[note["step"]] = note["loss"]
        record.ended = record.ended or "ended" in note
    return record


def check_now(world: World, jobs: Sequence[Asked]) -> list[str]:
    """What has to hold at any moment; the problems."""
    problems = []
    for job in jobs:
        numbers = [row["number"] for row in world.rows("SELECT number FROM trials WHERE job_id = %s", job.id)]
        if sorted(numbers) != list(range(len(numbers))) or len(numbers) > job.trials:
            problems.append(f"{job.id}: asked for {job.trials} trials, there are {sorted(numbers)}")
        problems += [f"{job.id}: trial {n} ended {count} times" for n, count in _ends(world, job).items() if count > 1]
        [row] = world.rows(
            "SELECT count(*) AS tasks, count(DISTINCT trial_id) AS trials FROM tuning_tasks"
            " WHERE job_id = %s AND status = ANY(%s)",
            job.id,
            list(_OPEN),
        )
        if row["tasks"] != row["trials"] or row["tasks"] > SLOTS:
            problems.append(f"{job.id}: {row['tasks']} open tasks of {row['trials']} trials")
    return problems


def check_ended(world: World, job: Asked) -> list[str]:
    """What has to hold of a job that has ended."""
    [stored] = world.rows("SELECT status, reason FROM tuning_jobs WHERE id = %s", job.id)
    problems = check_now(world, [job])
    if stored["status"] != "completed":
        problems.append(f"{job.id} is {stored['status']}: {stored['reason']}")
    ends = _ends(world, job)
    if ends != dict.fromkeys(range(job.trials), 1):
        problems.append(f"{job.id}: trials ended {dict(ends)}, {job.trials} were asked for")
    trials = world.rows("SELECT id, number, status, value, reason FROM trials WHERE job_id = %s", job.id)
    for trial in trials:
        problems += [f"{job.id} trial {trial['number']}: {what}" for what in _check_trial(world, job, trial)]
    return problems


def _ends(world: World, job: Asked) -> Counter[int]:
    events = world.rows("SELECT data FROM events WHERE job_id = %s AND kind = 'trial' ORDER BY id", job.id)
    told = [json.loads(row["data"]) for row in events]
    return Counter(e["number"] for e in told if e["status"] in {"completed", "failed", "stopped"})


def _check_trial(world: World, job: Asked, trial: dict[str, Any]) -> list[str]:
    problems = []
    tasks = world.rows("SELECT * FROM tuning_tasks WHERE trial_id = %s ORDER BY number", trial["id"])
    statuses = [task["status"] for task in tasks]
    if trial["status"] != "completed":
        problems.append(f"is {trial['status']}: {trial['reason']} after {_told(tasks)}")
    if statuses.count("succeeded") != 1 or statuses[-1] != "succeeded" or set(statuses[:-1]) - {"lost"}:
        problems.append(f"has tasks {statuses}")
    if [task["number"] for task in tasks] != list(range(len(tasks))):
        problems.append(f"has tasks of the numbers {[task['number'] for task in tasks]}")
    for task in tasks:
        path = world.records / f"{job.id}.{trial['number']}.{task['id']}.jsonl"
        record = read_record(path) if path.exists() else Record()
        stored = _measured(world, task["id"])
        counts = task["status"] == "succeeded"
        if counts and (not record.ended or len(record.values) != job.steps):
            problems.append(f"counts {task['id']}, which trained {len(record.values)} of {job.steps} steps")
        if counts and stored != record.values:
            problems.append(f"{task['id']} printed {record.values}, stored are {stored}")
        if counts and trial["value"] not in record.values.values():
            problems.append(f"has the value {trial['value']}, which {task['id']} never printed")
        # The line was printed before it was noted, so that a killed training may have noted one less.
        more = {step: value for step, value in stored.items() if record.values.get(step) != value}
        if not counts and set(more) - {len(record.values)}:
            problems.append(f"{task['id']} printed {record.values}, stored are {stored}")
    return problems


def _told(tasks: Sequence[dict[str, Any]]) -> list[str]:
    return [json.loads(task["outcome"])["reason"] if task["outcome"] else task["status"] for task in tasks]


def _measured(world: World, task_id: str) -> dict[int, float]:
    rows = world.rows("SELECT step, value FROM measurements WHERE task_id = %s AND metric = 'loss'", task_id)
    return {row["step"]: row["value"] for row in rows}


def check_logs(world: World, job: Asked) -> list[str]:
    """The kept log of each trial has each line that was printed once, as the service gives it out."""
    problems = []
    client = world.clients[job.tenant]
    for number in range(job.trials):
        lines = [line for line in client.log(job.id, number).splitlines() if line.startswith("step=")]
        if [line.split()[0] for line in lines] != [f"step={i}" for i in range(job.steps)]:
            problems.append(f"{job.id} trial {number}: its log has {[line.split()[0] for line in lines]}")
    return problems


def check_jobs(world: World, jobs: Sequence[Asked]) -> list[str]:
    """Exactly those jobs are there that were asked for."""
    stored = sorted(row["id"] for row in world.rows("SELECT id FROM tuning_jobs"))
    asked = sorted(job.id for job in jobs)
    return [] if stored == asked else [f"submitted were {asked}, stored are {stored}"]


def check_usage(world: World) -> list[str]:
    """What tenants are charged is what their executions took."""
    problems = []
    if world.rows("SELECT id FROM tuning_tasks WHERE status = ANY(%s) LIMIT 1", list(_OPEN)):
        problems.append("tasks are open although all jobs have ended")
    charged = {
        row["tenant_id"]: row
        for row in world.rows(
            "SELECT tenant_id, sum(tasks) AS tasks, sum(cpu_s) AS cpu_s, sum(gpu_s) AS gpu_s, sum(cost) AS cost"
            " FROM usage GROUP BY tenant_id"
        )
    }
    took = world.rows(
        "SELECT tenant_id, count(*) AS tasks, sum((ended_at - claimed_at) * cpus) AS cpu_s,"
        " sum((ended_at - claimed_at) * gpu_share) AS gpu_s FROM tuning_tasks"
        " WHERE claimed_at IS NOT NULL AND ended_at IS NOT NULL GROUP BY tenant_id"
    )
    for row in took:
        bill = charged.pop(row["tenant_id"], {"tasks": 0, "cpu_s": 0.0, "gpu_s": 0.0, "cost": 0.0})
        expected = {**row, "cost": row["gpu_s"] / _HOUR_S * PRICE}
        problems += [
            f"{row['tenant_id']}: {name} are {bill[name]} by the bill, {expected[name]} by its tasks"
            for name in ("tasks", "cpu_s", "gpu_s", "cost")
            if not math.isclose(bill[name], expected[name], rel_tol=1e-6, abs_tol=1e-6)
        ]
    return problems + [f"{tenant} is charged for nothing" for tenant in charged]


def check_unheard(world: World, since: float, what: str) -> list[str]:
    """No execution is given up for a silence in which nobody could have heard it; the problems."""
    lost = world.rows("SELECT id, outcome FROM tuning_tasks WHERE status = 'lost' AND ended_at > %s", since)
    silent = [row["id"] for row in lost if json.loads(row["outcome"])["failure"] == "silent"]
    return [f"{task} was given up for its silence during {what!r}" for task in silent]


def check_orphans(world: World, seconds: float) -> list[str]:
    """Trainings whose execution is over end soon; the problems."""
    deadline = time.monotonic() + seconds
    while True:
        running = world.trainings()
        wanted = {row["id"] for row in world.rows("SELECT id FROM tuning_tasks WHERE status = ANY(%s)", list(_OPEN))}
        left = {pid: task for pid, task in running.items() if task not in wanted}
        if not left:
            return []
        if time.monotonic() > deadline:
            return [f"process {pid} still trains for {task}, which is over" for pid, task in left.items()]
        time.sleep(0.3)
