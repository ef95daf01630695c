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
