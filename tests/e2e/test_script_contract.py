"""A script of the older product tuned on local Spark, as it is."""

from pathlib import Path

import pytest

from tests.e2e.service import deployed, job_file


@pytest.mark.heavy
@pytest.mark.spark
@pytest.mark.timeout(300)
def test_a_script_of_the_older_product_is_tuned_unchanged(tmp_path: Path) -> None:
    space = {
        "learning_rate": {"type": "float", "min": 0.01, "max": 1.0, "scale": "log"},
        "width": {"type": "int", "min": 2, "max": 16},
    }
    file = job_file("python old_torch.py --epochs 4", space, trials=3, parallel=1) | {
        "arguments": "none",
        "objective": {"metric": "loss", "goal": "minimize", "summary": "last"},
        "stored_metrics": ["accuracy"],
    }
    with deployed(tmp_path, TRAINING_DATA_DIR="/data") as deployment, deployment.tenant("acme") as client:
        done = client.wait(client.submit(file)["id"], timeout_s=200)
        assert done["status"] == "completed"
        assert done["spec"]["arguments"] == "none"
        for trial in client.trials(done["id"]):
            points = client.measurements(done["id"], trial["number"])
            # The file's, not the batches' that are printed under the same name and were reported before.
            assert [p["step"] for p in points if p["metric"] == "loss"] == [1, 2, 3, 4]
            assert [p["step"] for p in points if p["metric"] == "accuracy"] == [1, 2, 3, 4]
            assert trial["value"] == next(p["value"] for p in points if (p["metric"], p["step"]) == ("loss", 4))
