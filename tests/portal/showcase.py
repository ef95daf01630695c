"""A service with jobs as people have them, to look at: some run, one waits, one failed, one has 1,000 trials.

Nothing of it was trained. How good a configuration is follows from its values, by one formula with some noise, so that
importance and slices show what such pages show of real jobs.
"""

import heapq
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx
from sqlalchemy import insert, update

from benchmarks.portal import seed
from tests.portal.make_believe import (
    SPACE,
    accuracy,
    always_out_of_memory,
    latency_ms,
    learning_curve,
    out_of_memory,
    suggested,
)
from tests.rest_service import Driver, Run, Service, a_controller, upload
from tuning_service.domain.principal import User
from tuning_service.domain.resources import ResourceSample, ResourceUse
from tuning_service.domain.state import JobStatus, JobTarget, Role, TaskStatus, TrialStatus
from tuning_service.domain.trial import FaultKind, Outcome, Trial, TuningTask
from tuning_service.runner.protocol import Report
from tuning_service.storage.rows import task_values, trial_values
from tuning_service.storage.tables import controllers, job_usage, trials, tuning_jobs, tuning_tasks, usage

PASSWORD = "a lighthouse in the fog"
HOSTS = ("gpu-node-1", "gpu-node-2", "gpu-node-3", "gpu-node-4")
PRICE = 2.4
HOUR_S = 3600.0


@dataclass(frozen=True, kw_only=True)
class Search:
    """A job that is to be made up."""

    name: str
    trials: int
    points: int = 25
    epoch_s: float = 14.0
    parallel: int = 8
    hours_ago: float = 2.0  # when it was submitted
    status: JobStatus = JobStatus.COMPLETED
    reason: str = ""
    failing: Callable[[random.Random, Mapping[str, Any]], tuple[str, str] | None] = lambda _draw, _params: None
    spec: Mapping[str, Any] | None = None
    seed: int = 1


@dataclass(frozen=True, kw_only=True)
class Open:
    """A trial that has begun and not ended."""

    number: int
    params: dict[str, Any]
    began: float
    slot: int


@dataclass
class Showcase:
    """The service's tenant 'vision' with ada, who is an admin, and what she and her colleagues have done."""

    service: Service
    ada: User
    program: str
    now: float
    running: list["Open"] = field(default_factory=list)  # of the job that was added last

    def add(self, search: Search, owner: User | None = None) -> str:
        """The job's id. Of one that runs, those trials are left out that have not ended: they are in `running`."""
        draw = random.Random(search.seed)
        owner = owner or self.ada
        spec = {
            "space": SPACE,
            "algorithm": {"name": "auto"},
            "pool": "h100",
            "resources": {"cpus": 4, "gpus": 1},
            "budget": {"trials": search.trials, "parallel": search.parallel},
            **(search.spec or {}),
        }
        wanted = seed.spec_of({**spec, "name": search.name, "program": self.program})
        assert owner.tenant_id is not None
        begun = self.now - search.hours_ago * HOUR_S
        job = seed.job_of(owner.tenant_id, owner.id, wanted, search.status, begun)
        job_trials, job_tasks, rows = [], [], []
        self.running = []
        free = [(begun + 4 + i, i) for i in range(search.parallel)]
        found: list[tuple[float, dict[str, Any]]] = []
        for number in range(search.trials):
            if not free:
                break
            at, slot = heapq.heappop(free)
            params = suggested(draw, number, found)
            trial, task, points = self._run(job, number, params, at, slot, search, draw)
            if trial.ended_at > self.now and search.status is JobStatus.RUNNING:
                self.running.append(Open(number=number, params=params, began=at, slot=slot))
                continue
            heapq.heappush(free, (trial.ended_at + draw.uniform(1, 4), slot))
            if trial.value is not None:
                found.append((trial.value, params))
            job_trials.append({**trial_values(trial), "settled": number})
            job_tasks.append(task_values(task))
            rows += points
        last = max((row["ended_at"] for row in job_trials), default=begun)
        over = job.ended_at is not None
        job = replace(
            job,
            owner_name=owner.name,
            target=JobTarget.STOPPED if over else JobTarget.RUNNING,
            reason=search.reason,
            used_s=last - begun if over else 0.0,
            ended_at=last + 2 if over else None,
        )
        seed.store(self.service.store.engine, [job], job_trials, job_tasks, rows)
        busy = sum(task["ended_at"] - task["claimed_at"] for task in job_tasks)
        gpus = wanted.resources.gpus
        used = {"cpu_s": busy * wanted.resources.cpus, "gpu_s": busy * gpus, "cost": busy * gpus * PRICE / HOUR_S}
        with self.service.store.engine.begin() as connection:
            connection.execute(insert(job_usage).values(job_id=job.id, **used))
        return job.id

    def _run(
        self,
        job: Any,
        number: int,
        params: dict[str, Any],
        at: float,
        slot: int,
        search: Search,
        draw: random.Random,
    ) -> tuple[Trial, TuningTask, list[seed.Point]]:
        final = min(0.991, accuracy(params) + draw.gauss(0, 0.003))
        took = search.epoch_s * search.points * (0.5 + params["width"] / 160) * draw.uniform(0.85, 1.2)
        curve = learning_curve(draw, final, search.points)
        failed = search.failing(draw, params)
        if failed:
            took *= draw.uniform(0.05, 0.6)
            curve = curve[: max(1, int(len(curve) * 0.2))]
        values = {o.metric: latency_ms(params) if o.metric == "latency_ms" else max(curve) for o in job.spec.objectives}
        if "size_mb" in values:
            values["size_mb"] = params["width"] ** 1.6 / 55 + 2
        trial, task = seed.trial_of(job, number, params, max(curve), at)
        trial = replace(trial, ended_at=at + took, values=values, value=values[job.spec.objective.metric])
        outcome = Outcome(status=TaskStatus.SUCCEEDED, exit_code=0, elapsed_s=took)
        if failed:
            failure, reason = failed
            told = {"failure": failure, "reason": reason, "fault": FaultKind.PROGRAM}
            trial = replace(trial, status=TrialStatus.FAILED, value=None, values={}, **told)
            outcome = Outcome(status=TaskStatus.FAILED, exit_code=1, elapsed_s=took, **told)
        task = replace(
            task,
            status=outcome.status,
            outcome=outcome,
            cpus=job.spec.resources.cpus,
            gpu_share=job.spec.resources.gpus,
            price=PRICE,
            host=HOSTS[slot // 2 % len(HOSTS)],
            gpus=(str(slot % 2),),
            ended_at=at + took,
            heartbeat_at=at + took,
        )
        epoch_s = took / search.points
        points = [(task.id, step, seed.METRIC, value, step * epoch_s) for step, value in enumerate(curve, 1)]
        return trial, task, points


def seeded(service: Service) -> dict[str, str]:
    """All of it; ids of jobs by a word or their names, and `trial`, the number of one of the job `running`."""
    operator = service.principal(service.operator_key)
    ada, grace, tariq = (
        service.users.create(operator, name=name, role=role, password=PASSWORD, tenant="vision")
        for name, role in (("ada", Role.ADMIN), ("grace", Role.MEMBER), ("tariq", Role.MEMBER))
    )
    show = Showcase(service, ada, upload_program(service), time.time())
    _world(service, operator)
    jobs = {
        "big": show.add(
            Search(
                name="Street signs: ResNet-18, all augmentations",
                trials=1000,
                points=30,
                epoch_s=18,
                hours_ago=30,
                failing=out_of_memory,
            )
        )
    }
    several = [
        {"metric": "val_accuracy", "goal": "maximize"},
        {"metric": "latency_ms", "goal": "minimize"},
    ]
    jobs["front"] = show.add(
        Search(
            name="Accuracy against latency on the phone", trials=240, hours_ago=20, spec={"objective": several}, seed=3
        ),
        grace,
    )
    jobs["failed"] = show.add(
        Search(
            name="Street signs: ViT-L at 512 px",
            trials=10,
            hours_ago=16,
            status=JobStatus.FAILED,
            reason="10 trials in a row failed: CUDA out of memory: tried to allocate 9.10 GiB on GPU 0.",
            failing=always_out_of_memory,
            spec={"budget": {"trials": 60, "parallel": 8}},
            seed=4,
        ),
        tariq,
    )
    more = (
        ("Сегментация дорожной разметки", grace, 64, JobStatus.COMPLETED, "auto", 14.0),
        ("تصنيف إشارات المرور", tariq, 40, JobStatus.STOPPED, "random", 12.0),
        ("Digits: MobileNet baseline", show.ada, 80, JobStatus.COMPLETED, "tpe", 11.0),
        ("Digits: MobileNet with mixup", show.ada, 80, JobStatus.COMPLETED, "auto", 8.0),
        ("Lane markings, night", grace, 50, JobStatus.COMPLETED, "cmaes", 6.0),
    )
    for index, (name, owner, count, status, algorithm, ago) in enumerate(more):
        search = Search(
            name=name,
            trials=count,
            hours_ago=ago,
            status=status,
            seed=10 + index,
            spec={"algorithm": {"name": algorithm}},
        )
        jobs[name] = show.add(search, owner)
    jobs["running"], number = _running(show)
    waits = "Waits for free slots. Before it, 2 jobs go."
    search = Search(name="Lane markings, rain", trials=0, hours_ago=0.2, status=JobStatus.CREATED, reason=waits)
    jobs["waiting"] = show.add(replace(search, spec={"budget": {"trials": 100, "parallel": 4}}), tariq)
    jobs["trial"] = str(number)
    return jobs


def _world(service: Service, operator: Any) -> None:
    """Pools, a third tenant, quotas, and the months before."""
    service.pools.create(operator, "h100", master="spark://spark-h100:7077", price=PRICE)
    service.pools.create(operator, "night", master="k8s://https://cluster:6443", slots=16, cpus_per_slot=8, price=0.9)
    now = time.time()
    with service.store.write() as unit:
        unit.pools.heard_of(a_controller(host="head-1", cpus=32, gpus=0))
        unit.pools.heard_of(a_controller(id="controller-2", pool="h100", host="head-2", pid=4102, cpus=64, gpus=8))
    service.pools.cordon(operator, "h100", "gpu-node-3", reason="its second GPU reports ECC errors", minutes=None)
    service.access.create_tenant(operator, "robotics", max_parallel=16, weight=2.0)
    service.access.change_tenant(
        operator,
        "vision",
        max_parallel=24,
        max_gpus=16.0,
        max_gpu_hours=2000.0,
        weight=3.0,
        max_storage_bytes=200 * 2**30,
    )
    draw = random.Random(5)
    ids = {tenant.name: tenant.id for tenant in service.access.tenants(operator)}
    rows = []
    today = datetime.fromtimestamp(now, UTC)
    for back in range(12):
        month = f"{today.year - (today.month - 1 - back < 0)}-{(today.month - 1 - back) % 12 + 1:02d}"
        for tenant, size in (("vision", 1.0), ("speech", 0.5), ("robotics", 0.3)):
            for pool, price, gpus in (("h100", PRICE, 1.0), ("default", 0.0, 0.0))[: 2 if back < 3 else 1]:
                hours = size * draw.uniform(500, 1400) * (0.6 if back == 0 else 1) * (1 if gpus else 0.2)
                used = {"cpu_s": hours * HOUR_S * 4, "gpu_s": hours * HOUR_S * gpus, "cost": hours * gpus * price}
                rows.append({"tenant_id": ids[tenant], "month": month, "pool": pool, "tasks": int(hours * 9), **used})
    with service.store.engine.begin() as connection:
        connection.execute(insert(usage), rows)
        connection.execute(update(controllers).values(started_at=now - 400_000))


def _running(show: Showcase) -> tuple[str, int]:
    """A job with trials that a runner is at work on; and which of its trials has just ended, with all that one has."""
    search = Search(
        name="Digits: MobileNet with mixup, longer",
        trials=120,
        points=40,
        epoch_s=9,
        parallel=6,
        hours_ago=0.75,
        status=JobStatus.RUNNING,
        failing=out_of_memory,
        seed=21,
    )
    job_id = show.add(search)
    driver = Driver(show.service, job_id)
    driver.set_status(JobStatus.RUNNING)
    draw = random.Random(8)
    best = {"lr": 0.0017, "optimizer": "adam", "batch_size": 64, "dropout": 0.21, "weight_decay": 9e-5, "width": 171}
    good = {**best, "lr": 0.0042, "dropout": 0.33, "batch_size": 128, "width": 122}
    placed = sorted(show.running, key=lambda each: each.began)
    chosen = [best, good, *(each.params for each in placed[2:])]
    runs = [driver.add_trial(each.number, params) for each, params in zip(placed, chosen, strict=True)]
    ended = []
    for index, (run, each) in enumerate(zip(runs, placed, strict=True)):
        run.claim()
        took = show.now - each.began
        best_value = _train(run, draw, 40 if index < 2 else max(2, int(took / 11)), took)
        if index < 2:
            _keep(run, "model.pt", 3_411_022, draw)
            _keep(run, "plots/confusion.png", 48_213, draw)
            run.finish(best_value, values={seed.METRIC: best_value})
            ended.append((best_value, each.number))
    with show.service.store.engine.begin() as connection:
        tasks, rows, job = tuning_tasks.c, trials.c, tuning_jobs.c
        # As if they had taken the time that trainings take.
        for run, each in zip(runs, placed, strict=True):
            began = {"created_at": each.began, "started_at": each.began}
            connection.execute(update(trials).where(rows.id == run.trial.id).values(**began))
            where = {"host": HOSTS[each.slot // 2 % len(HOSTS)], "gpus": [str(each.slot % 2)]}
            held = {"cpus": 4, "gpu_share": 1.0, "price": PRICE, "claimed_at": each.began, "created_at": each.began}
            connection.execute(update(tuning_tasks).where(tasks.id == run.task_id).values(**where, **held))
            if run in runs[:2]:
                outcome = Outcome(status=TaskStatus.SUCCEEDED, exit_code=0, elapsed_s=show.now - each.began)
                whole = update(tuning_tasks).where(tasks.id == run.task_id).values(outcome=asdict(outcome))
                connection.execute(whole)
        running = {"started_at": show.now - 0.75 * HOUR_S, "running_since": show.now - 0.75 * HOUR_S}
        connection.execute(update(tuning_jobs).where(job.id == job_id).values(**running))
    return job_id, min(ended)[1]  # the lesser one, beside which the best is shown


def _train(run: Run, draw: random.Random, epochs: int, took_s: float) -> float:
    """Its best value."""
    final = min(0.9703, accuracy(run.trial.params))
    curve = learning_curve(draw, final, 40)[:epochs]
    lines = ["loading digits: 60000 images for training, 10000 for validation\n"]
    lines += ["model: MobileNetV3-small, 1.5 M parameters, on cuda:0 (NVIDIA H100 80GB HBM3)\n"]
    for epoch, value in enumerate(curve, 1):
        loss = 2.3 * (1 - value) ** 0.8
        told = f"epoch {epoch:>3}/40  loss={loss:.4f}  val_loss={loss * 1.08:.4f}  val_accuracy={value:.4f}"
        lines.append(f"{told}  {draw.uniform(8.6, 9.9):.1f} s\n")
    answer = run.report(*[(step, seed.METRIC, value) for step, value in enumerate(curve, 1)], log="".join(lines))
    assert answer.status_code == 200, answer.text
    samples = [
        ResourceSample(
            elapsed_s=took_s * i / 80,
            cpu=max(0.1, 3.1 + draw.gauss(0, 0.25) - 2.2 * (i < 2)),
            memory_bytes=int((2.1 + 1.6 * min(1, i / 8) + draw.uniform(0, 0.1)) * 2**30),
            threads=24,
            gpu_memory_bytes=(int((0.6 + 17.2 * min(1, i / 4)) * 2**30),),
            gpu_utilisation=(min(1.0, max(0.0, 0.86 + draw.gauss(0, 0.05) - 0.8 * (i < 2))),),
        )
        for i in range(81)
    ]
    use = ResourceUse(samples=tuple(samples), peak_memory_bytes=int(3.9 * 2**30), cpu_s=1212.0)
    answer = run.post("report", Report(log_offset=run.log_bytes, resources=use).to_json())
    assert answer.status_code == 200, answer.text
    return max(curve)


def _keep(run: Run, path: str, size: int, draw: random.Random) -> None:
    service = run.driver.service
    answer = httpx.put(
        f"{service.url}/v1/tasks/{run.task_id}/artifacts/{quote(path)}",
        content=draw.randbytes(size),
        headers={"Authorization": f"Bearer {service.token(run.task_id)}"},
        timeout=60,
    )
    assert answer.status_code < 300, answer.text


def upload_program(service: Service) -> str:
    """A program of tenant 'vision', to choose in a form; its digest."""
    with service.http() as http:
        files = dict.fromkeys(("train.py", "model.py", "data.py"), b"print('val_accuracy=0.9')\n")
        return upload(http, files)
