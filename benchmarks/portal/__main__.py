"""`python -m benchmarks.portal`: the portal in Chromium, beside optuna-dashboard on an equal study, in one run."""

import argparse
import json
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser
from sqlalchemy import select

from benchmarks.portal import pages, seed, seed_optuna
from benchmarks.portal.live import Step, follow
from benchmarks.portal.plot import draw
from benchmarks.portal.servers import OptunaDashboard, Ours
from benchmarks.portal.visits import cold_visits
from benchmarks.portal.watchers import watched
from tests.portal.browser import launched
from tests.rest_service import Driver
from tuning_service.domain.state import JobStatus
from tuning_service.storage.tables import trials

Options = argparse.Namespace
_TRIAL = 7  # whose page is looked at
_BETTER = 1e-6  # each new trial is better by this than all before, so that each changes what pages show


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--points", type=int, default=5000, help="measurements of each trial")
    parser.add_argument("--jobs", type=int, default=10_000, help="in our list")
    parser.add_argument("--peer-points", type=int, nargs="*", default=[5, 500, 5000], help="of the peer's studies")
    parser.add_argument("--peer-studies", type=int, default=1000, help="in the peer's list")
    parser.add_argument("--peer-python", type=Path, help="of an environment with requirements.txt; none: ours alone")
    parser.add_argument("--visits", type=int, default=5)
    parser.add_argument("--updates", type=int, default=600, help="while a page stays open, one a second")
    parser.add_argument("--watchers", type=int, default=50)
    parser.add_argument("--limit-s", type=float, default=120, help="how long a page is waited for")
    parser.add_argument("--only", nargs="*", default=["ours", "optuna-dashboard"])
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/portal.json"))
    parser.add_argument("--plot", type=Path, default=Path("docs/images/portal_bench.png"))
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # servers and browser end with this process
    results: dict[str, Any] = {"machine": _machine(), "seed": _described(options)}
    with tempfile.TemporaryDirectory() as folder, launched() as browser:
        results["browser"] = browser.version
        if "ours" in options.only:
            results["ours"] = _measure_ours(browser, Path(folder), options)
            _keep(results, options)
        if options.peer_python and "optuna-dashboard" in options.only:
            results["optuna-dashboard"] = []
            for points in options.peer_points:
                results["optuna-dashboard"].append(_measure_peer(browser, Path(folder), options, points))
                _keep(results, options)


def _keep(results: dict[str, Any], options: Options) -> None:
    options.json.write_text(json.dumps(results, indent=1) + "\n")
    draw(results, options.plot)


def _measure_ours(browser: Browser, folder: Path, options: Options) -> dict[str, Any]:
    server = Ours(folder / "ours")
    owner, engine = server.principal(), server.store.engine
    began = time.monotonic()
    seed.seed_jobs(engine, owner.tenant_id, owner.key_id, count=options.jobs)
    job = seed.seed_job(
        engine,
        owner.tenant_id,
        owner.key_id,
        trials=options.trials,
        points=options.points,
        status=JobStatus.RUNNING,
        spec={"budget": {"trials": 100_000, "parallel": 4}},
    )
    found: dict[str, Any] = {"seeded_s": round(time.monotonic() - began, 1)}
    with server:
        with engine.connect() as connection:
            wanted = select(trials.c.number, trials.c.value).where(trials.c.job_id == job)
            values = {row.number: row.value for row in connection.execute(wanted)}
        best = max(values.values())
        found["server_rss_at_start_mib"] = round(server.rss_mib(), 1)
        targets = pages.ours(job, _TRIAL, best, values[_TRIAL])
        found["pages"] = {}
        for target in targets:
            found["pages"][target.name] = cold_visits(
                browser, server, target, count=options.visits, limit_s=options.limit_s
            )
            _say("ours", target.name, found["pages"][target.name])
        found["server_rss_after_visits_mib"] = round(server.rss_mib(), 1)
        reports = _MetricIsReported(Driver(server, job), options.trials)
        ends = _TrialEnds(reports.driver, options.trials + 1, best)
        step = Step(ends)
        found["live"] = {}
        for place in range(2):
            target = pages.ours(job, _TRIAL, ends.best, values[_TRIAL])[place]
            found["live"][target.name] = follow(
                browser, server, target, step, updates=options.updates, limit_s=options.limit_s
            )
            _say("ours", f"{target.name}, live", found["live"][target.name])
        running = pages.Target(name="trial", path=f"/jobs/{job}/trials/{options.trials}", useful=reports())
        found["live"]["trial"] = follow(browser, server, running, Step(reports), updates=10, limit_s=options.limit_s)
        _say("ours", "trial, live", found["live"]["trial"])
        found["watchers"] = {}
        for target, topic in ((targets[0], "jobs"), (targets[1], job)):
            if found["pages"][target.name]["useful_ms"] is None:
                continue  # a page that does not come cannot be watched
            where = {"key": server.key, "page": target.path, "topic": topic}
            found["watchers"][target.name] = watched(server, step, "ours", where, count=options.watchers, seconds=30)
            _say("ours", f"{target.name}, watched", found["watchers"][target.name])
    return found


class _MetricIsReported:
    """A running trial has measured once more."""

    def __init__(self, driver: Driver, number: int) -> None:
        self.driver, self._steps = driver, 0
        self._run = driver.add_trial(number)
        self._run.claim().raise_for_status()

    def __call__(self) -> str:
        self._steps += 1
        value = self._steps * 1e-3 + 1e-9  # unlike any other on the page
        self._run.report((self._steps, seed.METRIC, value)).raise_for_status()
        return pages.shows(value)


class _TrialEnds:
    """One trial more: claimed and reported over HTTP as a runner does it, then ended as a controller does."""

    def __init__(self, driver: Driver, number: int, best: float) -> None:
        self._driver, self._number, self.best = driver, number, best

    def __call__(self) -> str:
        self.best += _BETTER
        self._driver.add_trial(self._number, seed.params(random.Random(self._number))).complete(self.best)
        self._number += 1
        return pages.shows(self.best)


def _measure_peer(browser: Browser, folder: Path, options: Options, points: int) -> dict[str, Any]:
    file = folder / f"optuna-{points}.db"
    script = [str(options.peer_python), str(Path(seed_optuna.__file__)), str(file)]
    shape = ["--trials", str(options.trials), "--points", str(points), "--studies", str(options.peer_studies)]
    began = time.monotonic()
    subprocess.run([*script, *shape], check=True)
    found: dict[str, Any] = {"points": points, "seeded_s": round(time.monotonic() - began, 1)}
    with OptunaDashboard(options.peer_python, file) as server:
        found["server_rss_at_start_mib"] = round(server.rss_mib(), 1)
        targets = pages.optuna_dashboard(1, _TRIAL)
        found["pages"] = {}
        for target in targets:
            found["pages"][target.name] = cold_visits(
                browser, server, target, count=options.visits, limit_s=options.limit_s
            )
            _say(f"optuna-dashboard, {points} points", target.name, found["pages"][target.name])
        found["server_rss_after_visits_mib"] = round(server.rss_mib(), 1)
        if found["pages"]["job"]["useful_ms"] is None:
            return found  # a page that does not come cannot be watched
        step = Step(_StudyGrows(file, options.trials, points))
        found["live"] = {
            "job": follow(browser, server, targets[1], step, updates=options.updates, limit_s=options.limit_s)
        }
        _say(f"optuna-dashboard, {points} points", "job, live", found["live"]["job"])
        where = {"api": f"/api/studies/1?after={options.trials}"}
        found["watchers"] = {
            "job": watched(server, step, "optuna-dashboard", where, count=options.watchers, seconds=30)
        }
        _say(f"optuna-dashboard, {points} points", "job, watched", found["watchers"]["job"])
    return found


class _StudyGrows:
    """One completed trial more, as large as the others."""

    def __init__(self, file: Path, trials: int, points: int) -> None:
        self._file, self._trials, self._points = file, trials, points

    def __call__(self) -> str:
        self._trials += 1
        seed_optuna.fill(str(self._file), 1, self._trials, self._points)
        return pages.peer_shows(self._trials)


def _machine() -> dict[str, Any]:
    return {
        "python": sys.version.split()[0],
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "load_at_start": round(os.getloadavg()[0], 2),
    }


def _described(options: Options) -> dict[str, Any]:
    names = ("trials", "points", "jobs", "peer_studies", "visits", "updates")
    return {name: getattr(options, name) for name in names}


def _say(who: str, what: str, figures: dict[str, Any]) -> None:
    print(f"{who:32} {what:16} {json.dumps(figures)}", flush=True)


if __name__ == "__main__":
    main()
