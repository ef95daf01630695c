"""The example that ships with the service: real training of a real network on real Spark."""

from pathlib import Path

import pytest
import yaml

from tests.e2e.service import deployed

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.spark
@pytest.mark.timeout(300)
@pytest.mark.parametrize("example", ["digits_pytorch", pytest.param("digits_tensorflow", marks=pytest.mark.heavy)])
def test_the_digits_example_trains_and_finds_a_good_network(tmp_path: Path, example: str) -> None:
    if example == "digits_tensorflow":
        pytest.importorskip("tensorflow")
    folder = EXAMPLES / example
    file = yaml.safe_load((folder / "job.yaml").read_text())
    file["budget"] |= {"trials": 4, "parallel": 2}
    with deployed(tmp_path) as deployment, deployment.tenant("acme") as client:
        done = client.wait(client.submit(file, program=folder)["id"], timeout_s=240)
        assert done["status"] == "completed"
        best = client.best(done["id"])["by_observation"]
        assert best["value"] > 0.9
        curve = client.measurements(done["id"], best["number"], metric="val_accuracy")
        assert [point["step"] for point in curve] == sorted({point["step"] for point in curve})
        assert max(float(point["value"]) for point in curve) == best["value"]
        assert "val_accuracy" in client.log(done["id"], best["number"])


@pytest.mark.spark
@pytest.mark.heavy
@pytest.mark.timeout(300)
def test_the_prototxt_example_trains_and_what_cannot_be_built_takes_no_slot(tmp_path: Path) -> None:
    folder = EXAMPLES / "digits_caffe"
    file = yaml.safe_load((folder / "job.yaml").read_text())
    file["budget"] |= {"trials": 4, "parallel": 2}
    good = {"SOLVER_TYPE": "SGD", "BASE_LR": 0.02, "MOMENTUM": 0.9, "WEIGHT_DECAY": 5e-4, "NUM_OUTPUT_1": 20}
    good |= {"NUM_OUTPUT_2": 50, "KERNEL_1": 5, "KERNEL_2": 3, "POOL_1": "MAX", "LR_MULT_IP_W": 1.0, "DROPOUT": 0.2}
    file["points"] = [good | {"KERNEL_1": 9}, good]
    with deployed(tmp_path) as deployment, deployment.tenant("acme") as client:
        done = client.wait(client.submit(file, program=folder)["id"], timeout_s=240)
        assert done["status"] == "completed"
        # The first trial is the space's own; the points come behind it.
        _, bad, first, _ = client.trials(done["id"], sort="number")
        assert (bad["status"], bad["fault"]) == ("failed", "infeasible")
        assert client.trial(done["id"], bad["number"])["tasks"] == []
        assert bad["reason"].endswith("layer conv2: kernel of 3 is larger than its input of 2")
        assert first["value"] > 0.95
        assert client.best(done["id"])["by_observation"]["value"] >= first["value"]
        curve = client.measurements(done["id"], first["number"], metric="accuracy")
        assert [point["step"] for point in curve] == [0, 100, 200, 300, 400, 500, 600]
        assert max(float(point["value"]) for point in curve) == first["value"]
        assert "Optimization Done." in client.log(done["id"], first["number"])
