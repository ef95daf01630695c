"""What a trial used, and the files that it left: from its runner to its user."""

import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.rest_service import ARTIFACT_LIMIT, Driver, Run, Service, running
from tuning_service.domain.errors import GiveUp
from tuning_service.domain.resources import ResourceSample, ResourceUse
from tuning_service.domain.state import JobStatus, TaskStatus
from tuning_service.domain.trial import Outcome
from tuning_service.runner import service as connections
from tuning_service.runner import training
from tuning_service.runner.protocol import Report, TaskTicket
from tuning_service.runner.run import run_ticket
from tuning_service.runner.service import Gone, Refused
from tuning_service.runner.service import Service as Connection


@pytest.fixture
def run(driver: Driver) -> Run:
    """A trial whose runner is at work."""
    run = driver.add_trial(0)
    assert run.claim().status_code == 200
    return run


def put(run: Run, path: str, data: bytes, token: str | None = None, **headers: str) -> httpx.Response:
    service = run.driver.service
    token = token or service.token(run.task_id)
    return httpx.put(
        f"{service.url}/v1/tasks/{run.task_id}/artifacts/{quote(path)}",
        content=data,
        headers={"Authorization": f"Bearer {token}", **headers},
        timeout=20,
    )


def room(run: Run) -> dict[str, Any]:
    service = run.driver.service
    answer = httpx.get(
        f"{service.url}/v1/tasks/{run.task_id}/artifacts",
        headers={"Authorization": f"Bearer {service.token(run.task_id)}"},
    )
    found: dict[str, Any] = answer.json()
    return found


def listed(run: Run, key: str | None = None) -> httpx.Response:
    with run.driver.service.http(key) as http:
        return http.get(f"/v1/tuning-jobs/{run.driver.job_id}/trials/0/artifacts")


def download(run: Run, path: str, key: str | None = None) -> httpx.Response:
    with run.driver.service.http(key) as http:
        return http.get(f"/v1/tuning-jobs/{run.driver.job_id}/trials/0/artifacts/{quote(path)}")


def test_what_a_runner_stores_its_tenant_lists_and_downloads(run: Run) -> None:
    data = bytes(range(256)) * 20_000
    assert listed(run).json() == {"items": [], "next_cursor": None}
    for _ in range(2):  # delivered again, because the answer was lost
        stored = put(run, "deep/modèle &.pt", data)
        assert stored.json() == {
            "path": "deep/modèle &.pt",
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
    assert put(run, "a.txt", b"").status_code == 200
    assert [(item["path"], item["bytes"]) for item in listed(run).json()["items"]] == [
        ("a.txt", 0),
        ("deep/modèle &.pt", len(data)),
    ]
    answer = download(run, "deep/modèle &.pt")
    assert answer.content == data
    assert answer.headers["Content-Length"] == str(len(data))
    with run.driver.service.http() as http:
        trial = http.get(f"/v1/tuning-jobs/{run.driver.job_id}/trials/0").json()
        used = http.get("/v1/tenant").json()["usage"]["storage_bytes"]
        page = http.get(f"/v1/tuning-jobs/{run.driver.job_id}/trials/0/artifacts?limit=1").json()
        rest = http.get(
            f"/v1/tuning-jobs/{run.driver.job_id}/trials/0/artifacts", params={"cursor": page["next_cursor"]}
        ).json()
    assert trial["tasks"][0]["artifact_bytes"] == len(data)
    assert used >= len(data)
    assert [item["path"] for item in [*page["items"], *rest["items"]]] == ["a.txt", "deep/modèle &.pt"]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("page.html", "application/octet-stream"),
        ("drawing.svg", "application/octet-stream"),
        ("noname", "application/octet-stream"),
        ("curve.PNG", "image/png"),
        ("notes.txt", "text/plain; charset=utf-8"),
    ],
)
def test_a_browser_saves_a_file_and_never_runs_it(run: Run, path: str, kind: str) -> None:
    put(run, f'x/"quoted" {path}', b"<script>alert(1)</script>")
    headers = download(run, f'x/"quoted" {path}').headers
    assert headers["Content-Type"] == kind
    assert headers["Content-Disposition"] == f"attachment; filename*=UTF-8''%22quoted%22%20{path}"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "default-src 'none'; sandbox"


def test_nobody_else_reads_or_writes_them(run: Run) -> None:
    put(run, "model.pt", b"x")
    stranger = run.driver.service.keys["speech/admin"]
    assert listed(run, stranger).status_code == 404
    assert download(run, "model.pt", stranger).status_code == 404
    assert download(run, "model.pt", run.driver.service.keys["vision/viewer"]).content == b"x"
    assert download(run, "other.pt").status_code == 404
    other = run.driver.add_trial(1)
    assert put(run, "model.pt", b"y", run.driver.service.token(other.task_id)).status_code == 401
    assert put(run, "model.pt", b"y", run.driver.service.key).status_code == 401
    assert download(run, "model.pt").content == b"x"


@pytest.mark.parametrize("path", ["../up", "a/../../b", "/root", "a//b", "a\\b", "tab\tbreak", "x" * 300])
def test_a_path_that_could_lead_elsewhere_is_refused(run: Run, path: str) -> None:
    service = run.driver.service
    # Built by hand: a client resolves such paths itself.
    connection = Connection(service.url)
    with pytest.raises(Refused, match="path"):
        connection.put_artifact(run.task_id, service.token(run.task_id), path, __file__, 10)
    connection.close()
    assert listed(run).json()["items"] == []


def test_what_goes_beyond_the_limits_is_refused_and_nothing_of_it_stays(run: Run) -> None:
    assert room(run) == {"bytes": ARTIFACT_LIMIT, "files": 1000, "why": "the limit of a trial is 38 MiB"}
    half = b"x" * (ARTIFACT_LIMIT // 2 + 1)
    assert put(run, "one", half).status_code == 200
    assert put(run, "two", half).status_code == 413
    assert put(run, "one", half).status_code == 200  # the same again is no more than before
    assert room(run)["bytes"] == ARTIFACT_LIMIT - len(half)
    assert [item["path"] for item in listed(run).json()["items"]] == ["one"]
    with run.driver.service.http(run.driver.service.operator_key) as operator:
        operator.patch("/v1/tenants/vision", json={"max_storage_bytes": len(half) + 2000})
    assert put(run, "two", b"y" * 3000).status_code == 403
    left = room(run)
    assert left["bytes"] < 2000
    assert "quota" in left["why"]
    assert put(run, "two", b"y" * left["bytes"]).status_code == 200


def test_a_body_that_is_not_what_was_announced_is_not_kept(run: Run) -> None:
    service = run.driver.service
    url = f"{service.url}/v1/tasks/{run.task_id}/artifacts/model.pt"
    headers = {"Authorization": f"Bearer {service.token(run.task_id)}"}
    chunked = httpx.put(url, content=iter([b"a", b"b"]), headers=headers)
    assert chunked.status_code == 400
    assert "Content-Length" in chunked.json()["detail"]
    connection = Connection(service.url)
    with pytest.raises(Exception, match="shorter"):
        connection.put_artifact(run.task_id, headers["Authorization"][7:], "model.pt", __file__, 10**6)
    assert listed(run).json()["items"] == []


def test_after_the_outcome_no_more_is_taken_and_the_files_go_with_their_job(run: Run) -> None:
    put(run, "model.pt", b"x" * 1000)
    run.finish(0.9)
    assert put(run, "late.pt", b"x").status_code == 410
    connection = Connection(run.driver.service.url)
    with pytest.raises(Gone):
        connection.artifact_room(run.task_id, run.driver.service.token(run.task_id))
    connection.close()
    assert download(run, "model.pt").content == b"x" * 1000
    run.driver.set_status(JobStatus.COMPLETED)
    principal = run.driver.service.principal()
    run.driver.service.artifacts.delete_job(principal.tenant_id, run.driver.job_id)  # as the controller does
    run.driver.delete()
    assert download(run, "model.pt").status_code == 404
    with run.driver.service.http() as http:
        assert http.get("/v1/tenant").json()["usage"]["storage_bytes"] < 1000


def test_a_list_of_files_with_the_longest_names_goes_on(run: Run) -> None:
    longest = "/".join(["\N{MUSICAL SYMBOL G CLEF}" * 63] * 8)  # 511 characters, in 2,023 bytes
    names = [f"{longest[:-1]}{last}" for last in "ab"]
    for name in names:
        assert put(run, name, b"x").status_code == 200
    path = f"/v1/tuning-jobs/{run.driver.job_id}/trials/0/artifacts"
    with run.driver.service.http() as http:
        first = http.get(path, params={"limit": 1}).json()
        rest = http.get(path, params={"limit": 1, "cursor": first["next_cursor"]})
    assert [item["path"] for item in first["items"] + rest.json()["items"]] == names


def test_a_file_that_is_sent_again_while_its_execution_ends_stays_as_it_was_stored(run: Run) -> None:
    """The answer to the first was lost, say."""
    assert put(run, "model.pt", b"weights").status_code == 200
    service = run.driver.service
    again = service.managers.artifact_desk.begin(run.task_id, service.token(run.task_id), "model.pt", 7)
    again.write(b"weights")
    assert run.report(outcome=Outcome(status=TaskStatus.STOPPED)).status_code == 200
    with pytest.raises(GiveUp):
        again.keep()
    assert [item["path"] for item in listed(run).json()["items"]] == ["model.pt"]
    assert download(run, "model.pt").content == b"weights"


def test_uploads_have_one_name_in_the_metrics(run: Run) -> None:
    for name in ("one", "two"):
        put(run, name, b"x")
    with run.driver.service.http(run.driver.service.operator_key) as operator:
        metrics = operator.get("/metrics").text
    assert '{method="PUT",route="/v1/tasks/{task_id}/artifacts",status="200"} 2.0' in metrics
    assert "artifacts/one" not in metrics


def tell(run: Run, *samples: ResourceSample, outcome: Outcome | None = None, **total: Any) -> None:
    use = ResourceUse(samples=samples, **total)
    assert run.post("report", Report(resources=use, outcome=outcome).to_json()).status_code == 200


def resources(run: Run, **params: Any) -> dict[str, Any]:
    with run.driver.service.http() as http:
        answer = http.get(f"/v1/tuning-jobs/{run.driver.job_id}/trials/0/resources", params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_what_a_trial_uses_is_told_in_columns_with_its_peaks(driver: Driver) -> None:
    run = driver.add_trial(0)
    claim = {"attempt": 0, "nonce": "n", "host": "worker-1", "gpus": ["3", "4"]}
    assert run.post("claim", claim).status_code == 200
    assert resources(run)["elapsed_s"] == []
    first = ResourceSample(elapsed_s=1, cpu=0.5, memory_bytes=100, threads=2)
    second = ResourceSample(
        elapsed_s=5, cpu=1.5, memory_bytes=300, threads=3, gpu_memory_bytes=(7, 8), gpu_utilisation=(0.5, None)
    )
    tell(run, first, second, peak_memory_bytes=300, cpu_s=6.5)
    tell(run, second, peak_memory_bytes=350, cpu_s=7.0, outcome=Outcome(status=TaskStatus.FAILED))
    assert (
        resources(run, task=0)
        == resources(run)
        == {
            "task": 0,
            "gpus": ["3", "4"],
            "elapsed_s": [1.0, 5.0],
            "cpu": [0.5, 1.5],
            "memory_bytes": [100, 300],
            "threads": [2, 3],
            "gpu_memory_bytes": [[None, 7], [None, 8]],
            "gpu_utilisation": [[None, 0.5], [None, None]],
            "peak_memory_bytes": 350,
            "peak_gpu_memory_bytes": [7, 8],
            "cpu_s": 7.0,
        }
    )
    with run.driver.service.http() as http:
        task = http.get(f"/v1/tuning-jobs/{driver.job_id}/trials/0").json()["tasks"][0]
        assert (task["peak_memory_bytes"], task["cpu_s"]) == (350, 7.0)
        path = f"/v1/tuning-jobs/{driver.job_id}/trials"
        assert http.get(f"{path}/0/resources?task=1").status_code == 404
        assert http.get(f"{path}/9/resources").status_code == 404
    with run.driver.service.http(run.driver.service.keys["speech/admin"]) as stranger:
        assert stranger.get(f"{path}/0/resources").status_code == 404


def test_a_report_whose_resources_make_no_sense_is_refused(run: Run) -> None:
    data = Report().to_json() | {"resources": {"samples": [{"elapsed_s": "soon"}]}}
    assert run.post("report", data).status_code == 400


def test_a_deployment_may_keep_none(service: Service) -> None:
    service.managers.artifact_desk.limit_bytes = 0
    run = running(service).add_trial(0)
    run.claim()
    assert room(run)["bytes"] == 0
    assert put(run, "model.pt", b"x").status_code == 413


LEAVES = b"""
import os
folder = os.environ["TUNING_ARTIFACTS_DIR"]
open(f"{folder}/model.pt", "wb").write(b"w" * 1_500_000)
open(f"{folder}/huge.pt", "wb").truncate(10**9)
held = bytearray(50 * 2**20)
print("val_accuracy=0.5")
"""


def test_a_real_runner_tells_all_of_it_to_a_real_service(
    driver: Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNING_WORK_DIR", str(tmp_path / "work"))
    service = driver.service
    run = running(service, {"train.py": LEAVES}, framework="command").add_trial(0)
    try:
        run_ticket(TaskTicket(task_id=run.task_id, token=service.token(run.task_id), service_url=service.url), 0, ())
    finally:
        connections.close_idle()
        training.close_idle()
    assert download(run, "model.pt").content == b"w" * 1_500_000
    assert [item["path"] for item in listed(run).json()["items"]] == ["model.pt"]
    with service.http() as http:
        task = http.get(f"/v1/tuning-jobs/{run.driver.job_id}/trials/0").json()["tasks"][0]
    assert task["status"] == "succeeded"
    assert task["outcome"]["explanation"].splitlines()[1:] == [
        "'huge.pt': 953.7 MiB; the limit of a trial is 38 MiB",
    ]
    assert 50 * 2**20 < task["peak_memory_bytes"] < 2**30
    assert task["cpu_s"] > 0
    assert list((tmp_path / "work").glob("task-*")) == []
