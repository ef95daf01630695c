"""What analysis costs: a job of 1,000 trials with 5,000 points each, and 50 jobs for sparklines.

    python -m benchmarks.portal.analysis --json benchmarks/results/analysis.json [--url postgresql://…]

Rows are seeded straight into the database, as a service would have stored them, without reduced curves. Then each
answer is asked of a new manager (cold) and of the same one again (warm: the median of seven).
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from sqlalchemy import select

from benchmarks.portal import seed
from tuning_service.domain.ids import new_id
from tuning_service.domain.principal import Principal, Tenant
from tuning_service.domain.state import JobStatus, Role
from tuning_service.manager.analysis_mgr import AnalysisMgr
from tuning_service.storage.engine import upgrade_schema
from tuning_service.storage.rows import task_values, trial_values
from tuning_service.storage.store import Store
from tuning_service.storage.tables_curves import curves
from tuning_service.storage.tenant_scope import Program

SPACE = {
    "lr": {"type": "float", "min": 1e-5, "max": 0.3, "scale": "log"},
    "optimizer": {"type": "categorical", "values": ["sgd", "adam", "adamw"]},
    "momentum": {"type": "float", "min": 0.0, "max": 0.99, "when": {"optimizer": ["sgd"]}},
    "width": {"type": "int", "min": 16, "max": 512, "scale": "pow2"},
    "depth": {"type": "int", "min": 1, "max": 8},
    "dropout": {"type": "float", "min": 0.0, "max": 0.6},
    "augment": {"type": "bool"},
}


def _params(rng: np.random.Generator) -> dict[str, Any]:
    optimizer = ["sgd", "adam", "adamw"][rng.integers(3)]
    params = {"lr": float(10 ** rng.uniform(-5, -0.5)), "optimizer": optimizer}
    if optimizer == "sgd":
        params["momentum"] = float(rng.uniform(0, 0.99))
    return params | {
        "width": int(2 ** rng.integers(4, 10)),
        "depth": int(rng.integers(1, 9)),
        "dropout": float(rng.uniform(0, 0.6)),
        "augment": bool(rng.integers(2)),
    }


def seed_job(store: Store, principal: Principal, name: str, count: int, points: int) -> str:
    """A completed job with so many trials of so many points; its id."""
    rng = np.random.default_rng(len(name))
    spec = seed.spec_of({"name": name, "space": SPACE, "budget": {"trials": count, "parallel": 8}})
    job = seed.job_of(principal.tenant_id, principal.key_id, spec, JobStatus.COMPLETED, 1e9)
    job_trials, job_tasks, tops = [], [], rng.beta(4, 2, count)
    for number in range(count):
        params = _params(rng)
        value = float(tops[number] - 0.1 * abs(np.log10(params["lr"]) + 3))
        trial, task = seed.trial_of(job, number, params, value, 1e9 + 10.0 * number)
        task = replace(task, gpu_share=1.0, price=2.0, host=f"worker-{number % 8}", gpus=("0",))
        job_trials.append(trial_values(trial) | {"settled": number})
        job_tasks.append(task_values(task))
    steps = np.arange(1, points + 1)
    with store.write() as unit:
        unit.for_tenant(principal).add_job(job)
        connection = unit._connection  # noqa: SLF001
        seed.store_trials(connection, job_trials, job_tasks)
        for task, top in zip(job_tasks, tops, strict=True):
            values = top * (1 - np.exp(-steps / rng.uniform(200, 2000))) + rng.normal(0, 0.01, points)
            listed = zip(steps.tolist(), values.tolist(), strict=True)
            seed.store_points(connection, [(task["id"], step, seed.METRIC, v, 0.016 * step) for step, v in listed])
    return job.id


def _asked(manager: AnalysisMgr, who: Principal, job: str, others: list[str]) -> dict[str, Callable[[], Any]]:
    return {
        "history": lambda: manager.history(who, job),
        "curves": lambda: manager.curves(who, job),
        "curves, smoothed": lambda: manager.curves(who, job, smooth=0.9, along="time"),
        "curves, best 20": lambda: manager.curves(who, job, trials="best:20"),
        "one curve, 2,000 points": lambda: manager.curves(who, job, trials=[5], points=2000),
        "parallel": lambda: manager.parallel(who, job),
        "slice": lambda: manager.slice(who, job, "lr"),
        "contour": lambda: manager.contour(who, job, "lr", "dropout"),
        "importance, PED-ANOVA": lambda: manager.importance(who, job, method="ped-anova"),
        "importance, fANOVA": lambda: manager.importance(who, job, method="fanova"),
        "front": lambda: manager.front(who, job),
        "slots": lambda: manager.slots(who, job),
        "compare 5 jobs": lambda: manager.compare(who, [job, *others[:4]]),
        f"sparklines, {len(others)} jobs": lambda: manager.sparklines(who, others),
    }


def _timed(ask: Callable[[], Any]) -> tuple[float, float, int]:
    wall, cpu = time.perf_counter(), time.thread_time()
    answer = ask()
    return 1000 * (time.perf_counter() - wall), 1000 * (time.thread_time() - cpu), len(orjson.dumps(answer))


def measured(store: Store, who: Principal, job: str, others: list[str]) -> list[dict[str, Any]]:
    """Milliseconds, cold and warm, wall and CPU of the asking thread; bytes of the answer as JSON."""
    import optuna.importance  # noqa: F401  # a second, once in a process

    found = []
    for name in _asked(AnalysisMgr(store), who, job, others):
        manager = AnalysisMgr(store)
        ask = _asked(manager, who, job, others)[name]
        cold = _timed(ask)
        warm = [_timed(ask) for _ in range(7)]
        found.append(
            {
                "answer": name,
                "cold_ms": round(cold[0], 1),
                "cold_cpu_ms": round(cold[1], 1),
                "warm_ms": round(statistics.median(w[0] for w in warm), 1),
                "warm_cpu_ms": round(statistics.median(w[1] for w in warm), 1),
                "bytes": cold[2],
            }
        )
        print(found[-1], flush=True)
        manager.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--url", help="an empty database; default: SQLite in a temporary folder")
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--points", type=int, default=5000)
    parser.add_argument("--jobs", type=int, default=50)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(options.url or f"sqlite:///{folder}/tuning.db")
        upgrade_schema(store.engine)
        tenant = Tenant(id=new_id("ten"), name="bench", max_parallel=8, created_at=1.0)
        who = Principal(key_id="key", role=Role.MEMBER, tenant=tenant)
        with store.write() as unit:
            unit.tenancy.add_tenant(tenant)
            unit.for_tenant(who).add_program(Program(digest=seed.PROGRAM, bytes=1, files=("train.py",), created_at=1.0))
        began = time.perf_counter()
        job = seed_job(store, who, "large", options.trials, options.points)
        others = [seed_job(store, who, f"job {i}", options.trials, 0) for i in range(options.jobs)]
        print(f"seeded in {time.perf_counter() - began:.0f} s", flush=True)
        unreduced = AnalysisMgr(store)
        first = _timed(lambda: unreduced.curves(who, job))
        print("curves, before they are reduced", first, flush=True)
        began = time.perf_counter()
        unreduced._keeper.settle()  # noqa: SLF001
        reducing = time.perf_counter() - began
        unreduced.close()
        with store.engine.connect() as connection:
            kept = sum(len(data) for data in connection.execute(select(curves.c.data)).scalars())
        report = {
            "database": store.engine.dialect.name,
            "python": platform.python_version(),
            "trials": options.trials,
            "points": options.points,
            "curves_before_reduction": {"cold_ms": round(first[0], 1), "cpu_ms": round(first[1], 1), "bytes": first[2]},
            "reducing_s": round(reducing, 1),
            "reduced_bytes": kept,
            "answers": measured(store, who, job, others),
        }
        store.close()
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
