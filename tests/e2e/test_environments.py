"""A program's environment over Spark and REST: one that cannot be made ends its job at once, and can be mended."""

import os
import zipfile
from pathlib import Path

import pytest

from tests.e2e.service import X, deployed, job_file


@pytest.mark.spark
@pytest.mark.heavy
@pytest.mark.timeout(300)
def test_a_failed_build_costs_no_trial_and_the_job_goes_on_once_it_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    for name, value in {"CONFIG_FILE": os.devnull, "NO_INDEX": "1", "FIND_LINKS": str(wheels)}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "t"))  # or an earlier test run's environment would be found
    (tmp_path / "t").mkdir()
    program = tmp_path / "program"
    program.mkdir()
    (program / "train.py").write_text("import greeting; print(f'loss={greeting.VALUE}')")
    (program / "requirements.txt").write_text("greeting==1.0\n")
    with deployed(tmp_path) as deployment, deployment.tenant("acme") as client:
        file = job_file("python train.py", X, trials=3, parallel=2)
        file["environment"] = {"requirements": "requirements.txt"}
        job = client.submit(file, program=program)["id"]
        done = client.wait(job, timeout_s=120)
        first, *rest = done["reason"].splitlines()
        assert done["status"] == "failed"
        assert first.startswith("pip install -r requirements.txt failed on ")
        assert any("No matching distribution found for greeting==1.0" in line for line in rest)
        assert (done["progress"]["failed"], done["progress"]["completed"]) == (0, 0)

        with zipfile.ZipFile(wheels / "greeting-1.0-py3-none-any.whl", "w") as archive:
            archive.writestr("greeting.py", "VALUE = 0.5")
            archive.writestr("greeting-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n")
            wheel = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            archive.writestr("greeting-1.0.dist-info/WHEEL", wheel)
            archive.writestr("greeting-1.0.dist-info/RECORD", "")
        for memory in tmp_path.glob("t/*/environments/*/failed"):
            memory.unlink()  # as half a minute later
        client.resume(job)
        done = client.wait(job, timeout_s=120)
        assert (done["status"], done["progress"]["completed"], done["progress"]["failed"]) == ("completed", 3, 0)
