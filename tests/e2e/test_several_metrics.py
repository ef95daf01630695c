"""Two objectives, a limit, and a later job that begins with what the first one found, on local Spark."""

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.service import X, deployed, job_file

LIMIT = 32.0


def dominates(a: dict[str, Any], b: dict[str, Any]) -> bool:
    pairs = [(a["values"][name], b["values"][name]) for name in ("val_loss", "model_mb")]
    return all(x <= y for x, y in pairs) and any(x < y for x, y in pairs)


@pytest.mark.spark
@pytest.mark.timeout(300)
def test_a_front_within_a_limit_and_a_second_job_that_begins_with_it(tmp_path: Path) -> None:
    file = job_file("python trade.py --silent-below 0.1", X, trials=16, parallel=4) | {
        "objective": [
            {"metric": "val_loss", "goal": "minimize"},
            {"metric": "model_mb", "goal": "minimize", "summary": "last"},
        ],
        "metric_constraints": [f"latency_ms <= {LIMIT}"],
        "stored_metrics": ["extra"],
    }
    with deployed(tmp_path, SPARK_MASTER="local[4]") as deployment, deployment.tenant("acme") as client:
        done = client.wait(client.submit(file)["id"], timeout_s=120)
        assert done["status"] == "completed"
        trials = client.trials(done["id"])
        for trial in trials:
            x = trial["params"]["x"]
            if x < 0.1:
                assert trial["status"] == "failed"
                assert trial["reason"] == "the program ended without printing latency_ms"
                assert "gave a value of latency_ms" in trial["explanation"]
                continue
            assert trial["values"] == pytest.approx(
                {"val_loss": (1 - x) ** 2 + 1 / 3, "model_mb": 10 * x + 2, "latency_ms": 40 * x}
            )
            assert trial["feasible"] == (40 * x <= LIMIT)
            assert trial["metrics"]["extra"] == 2
        assert {trial["status"] for trial in trials} == {"completed", "failed"}
        assert {trial["feasible"] for trial in trials} == {True, False}

        feasible = [trial for trial in trials if trial["feasible"] and trial["status"] == "completed"]
        front = client.front(done["id"])
        expected = [trial for trial in feasible if not any(dominates(other, trial) for other in feasible)]
        expected.sort(key=lambda trial: trial["values"]["val_loss"])
        assert [trial["number"] for trial in front["trials"]] == [trial["number"] for trial in expected]
        assert front["total"] == done["progress"]["front_size"] == len(expected)

        later = file | {
            "space": {"x": {"type": "float", "min": 0.0, "max": 0.5}},
            "budget": {"trials": 2, "parallel": 2},
            "warm_start": [done["id"]],
            "algorithm": {"name": "tpe"},
        }
        second = client.wait(client.submit(later)["id"], timeout_s=60)
        assert second["status"] == "completed"
        [report] = second["warm_start_report"]
        inside = [trial for trial in trials if trial["params"]["x"] <= 0.5]
        assert report["used"] == len(inside)
        assert report["unused"] == {"x was out of range": len(trials) - len(inside)}
        assert [trial["number"] for trial in client.trials(second["id"])] == [0, 1]
