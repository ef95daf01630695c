"""What the portal is measured with is there as if it had been run, on both sides the same."""

from pathlib import Path

import optuna
import pytest

from benchmarks.portal import plot, seed, seed_optuna
from tests.rest_service import Service, service
from tuning_service.domain.state import JobStatus

__all__ = ["service"]


def test_seeded_jobs_are_what_a_run_leaves(service: Service):
    owner = service.principal()
    engine = service.store.engine
    job = seed.seed_job(engine, owner.tenant_id, owner.key_id, trials=7, points=40, name="large")
    seed.seed_jobs(engine, owner.tenant_id, owner.key_id, count=12, trials=2)
    with service.http() as http:
        listed = http.get("/v1/tuning-jobs", params={"limit": 100}).json()["items"]
        assert len(listed) == 13
        assert {item["status"] for item in listed} <= {"completed", "failed", "stopped"}
        seen = http.get(f"/v1/tuning-jobs/{job}").json()
        assert (seen["name"], seen["status"], seen["progress"]["completed"]) == ("large", "completed", 7)
        trials = http.get(f"/v1/tuning-jobs/{job}/trials").json()["items"]
        assert seen["progress"]["best_value"] == max(trial["value"] for trial in trials)
        curve = http.get(f"/v1/tuning-jobs/{job}/trials/3/measurements", params={"limit": 1000}).json()["items"]
    assert [point["step"] for point in curve] == list(range(1, 41))
    assert curve[-1]["value"] == next(trial["value"] for trial in trials if trial["number"] == 3)


def test_the_same_seed_gives_the_same_trials(service: Service):
    owner = service.principal()
    jobs = [
        seed.seed_job(service.store.engine, owner.tenant_id, owner.key_id, trials=3, status=status)
        for status in (JobStatus.COMPLETED, JobStatus.RUNNING)
    ]
    with service.http() as http:
        one, other = (http.get(f"/v1/tuning-jobs/{job}/trials").json()["items"] for job in jobs)
    assert [(trial["params"], trial["value"]) for trial in one] == [
        (trial["params"], trial["value"]) for trial in other
    ]


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_the_peers_study_has_the_same_shape(tmp_path: Path, monkeypatch):
    file = tmp_path / "optuna.db"
    monkeypatch.setattr("sys.argv", ["seed", str(file), "--trials", "6", "--points", "40", "--studies", "3"])
    seed_optuna.main()
    storage = optuna.storages.RDBStorage(f"sqlite:///{file}")
    study = optuna.load_study(study_name="digits", storage=storage)
    assert len(study.trials) == 6
    assert {len(trial.intermediate_values) for trial in study.trials[1:]} == {40}
    assert study.trials[3].value == study.trials[3].intermediate_values[40]
    assert set(study.trials[3].params) - {"momentum"} == {"lr", "optimizer", "batch_size", "dropout"}
    assert len(optuna.get_all_study_names(storage)) == 4
    seed_optuna.fill(str(file), 1, 7, 40)
    assert len(optuna.load_study(study_name="digits", storage=storage).trials) == 7
    storage.engine.dispose()


def test_the_picture_has_late_pages_too(tmp_path: Path):
    pytest.importorskip("matplotlib")
    quick = {"useful_ms": 120.0, "bytes": 40_000, "limit_s": 60}
    late = {"useful_ms": None, "bytes": 1_000, "limit_s": 60}
    results = {
        "seed": {"trials": 1000, "points": 5000, "jobs": 10_000, "peer_studies": 100},
        "ours": {"pages": dict.fromkeys(("jobs", "job", "trial"), quick)},
        "optuna-dashboard": [{"points": 5000, "pages": {"jobs": quick, "job": late, "trial": late}}],
    }
    plot.draw(results, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
