"""Jobs as files and scripts; each is run, and makes the same job again."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.rest_service import Service, submit

FILES = {"train.py": b"print('val_accuracy=0.5')", "it's.txt": b"numpy"}
PLAIN: dict[str, Any] = {}
# Each field has a value that is not its default, and texts that shells, YAML and Python have ideas about.
FULL: dict[str, Any] = {
    "name": 'it\'s $HOME `id` "x" \\ END_OF_JOB ünï 😀 {a: b} # c',
    "framework": "command",
    "command": "python train.py 'a b' $X",
    "arguments": "dashes",
    "space": {
        "lr": {"type": "float", "min": 1e-7, "max": 0.3, "scale": "log", "default": 0.1},
        "n": {"type": "int", "min": 1, "max": 9, "step": 2, "scale": "linear"},
        "o": {
            "type": "categorical",
            "values": ["on", "1e-4", "null", "'", '"', "a: b", "", "012", "x\ny", True, 1, 0.5],
        },
        "m": {"type": "bool", "when": {"o": ["on", "x\ny"]}},
        "f": {"type": "fixed", "value": "END_OF_JOB\nEND_OF_JOB\n"},
    },
    "constraints": ["lr * n < 2", "o != 'on' or n > 1"],
    "points": [{"lr": 0.01, "n": 3, "o": "a: b"}],
    "objective": [{"metric": "a", "goal": "minimize", "summary": "last"}, {"metric": "b", "goal": "maximize"}],
    "metric_constraints": ["latency_ms <= 20"],
    "stored_metrics": ["c"],
    "algorithm": {"name": "evolution", "options": {"population": 7}},
    "budget": {"trials": 5, "parallel": 3, "minutes": 1.5, "trial_minutes": 0.5, "failures": 2},
    "resources": {"cpus": 2, "gpus": 0.5},
    "environment": {"requirements": "it's.txt"},
    "seed": 2**53 + 1,
    "log_patterns": ["loss is %{NUMBER:loss}", r"x\[(?P<a>\d+)\] \"$1\""],
    "log_files": ["logs/*.log"],
}


@pytest.fixture(params=[PLAIN, FULL], ids=["plain", "full"])
def job(request: pytest.FixtureRequest, service: Service) -> dict[str, Any]:
    with service.http() as http:
        answer = submit(http, FILES, **request.param)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def written(service: Service, job: dict[str, Any], form: str) -> str:
    with service.http(service.keys["vision/viewer"]) as http:
        answer = http.get(f"/v1/tuning-jobs/{job['id']}/file", params={"as": form})
    assert answer.status_code == 200, answer.text
    return answer.text


def shell(service: Service, *command: str) -> str:
    root = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "TUNING_API_KEY": service.key, "PYTHONPATH": root, "HOME": "/nowhere", "X": "y"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_each_form_makes_an_equal_job(service: Service, job: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(written(service, job, "yaml"), encoding="utf-8")
    script = tmp_path / "submit.py"
    script.write_text(written(service, job, "python"), encoding="utf-8")
    with service.client() as client:
        again = [client.submit(path)]
        path.write_text(written(service, job, "json"), encoding="utf-8")
        again.append(client.submit(path))
        shell(service, sys.executable, str(script))
        shell(service, "bash", "-c", written(service, job, "curl"))
        again += client.jobs()[:2]
    assert len({made["id"] for made in again} | {job["id"]}) == 5
    for made in again:
        assert made["spec"] == job["spec"]


def test_only_what_differs_from_the_defaults_is_written(service: Service, job: dict[str, Any]) -> None:
    document = yaml.safe_load(written(service, job, "yaml"))
    if job["name"] == "digits":
        assert list(document) == [
            "name",
            "framework",
            "program",
            "command",
            "space",
            "objective",
            "algorithm",
            "budget",
        ]
        assert document["objective"] == {"metric": "val_accuracy", "goal": "maximize"}
        assert document["budget"] == {"trials": 4, "parallel": 2}
    else:
        assert document["algorithm"] == {"name": "evolution", "options": {"population": 7}}
        assert document["objective"][1] == {"metric": "b", "goal": "maximize"}
        assert list(document)[-3:] == ["seed", "log_patterns", "log_files"]
    assert "pool" not in document


def test_another_form_and_another_tenants_job(service: Service, job: dict[str, Any]) -> None:
    path = f"/v1/tuning-jobs/{job['id']}/file"
    with service.http() as http:
        assert http.get(path, params={"as": "perl"}).status_code == 422
        assert http.get(path).headers["content-type"].startswith("application/yaml")
    with service.http(service.keys["speech/member"]) as http:
        assert http.get(path).status_code == 404
