"""TuningClient against a real service."""

import json
import threading
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
import yaml

from tests.machine import free_port
from tests.rest_service import TRAIN, Driver, Service, job_file
from tests.waiting import wait_for
from tuning_service.client import BadJobFile, ServiceUnreachable, TuningApiError, TuningClient, calls
from tuning_service.client.job_files import load_job_file
from tuning_service.client.transport import error_from
from tuning_service.domain.state import JobStatus

JOB_YAML = """
name: from-yaml
framework: pytorch
program: code
command: python train.py
space:
  lr: {type: float, min: 1e-4, max: 3E-1, scale: log}
  flag: {type: categorical, values: [on, off, true, 1]}
objective: {metric: loss, goal: minimize}
algorithm: {name: random}
budget: {trials: 2}
"""


def test_users_are_managed(service: Service, weak_passwords: None) -> None:
    with service.client(service.keys["vision/admin"]) as admin:
        assert admin.whoami()["principal"]["tenant"] == "vision"
        user = admin.create_user("ada", "correct horse battery", role="viewer")
        assert admin.users() == [user]
        assert admin.change_user(user["id"], role="member", disabled=True)["role"] == "member"
        admin.delete_user(user["id"])
        assert admin.users() == []
    with service.client(service.operator_key) as operator:
        assert operator.create_user("bob", "correct horse battery", tenant="speech")["name"] == "bob"
        assert [found["name"] for found in operator.users("speech")] == ["bob"]


@pytest.fixture
def yaml_file(tmp_path: Path) -> Path:
    folder = tmp_path / "example" / "code"
    folder.mkdir(parents=True)
    (folder / "train.py").write_bytes(TRAIN)
    path = folder.parent / "job.yaml"
    path.write_text(JOB_YAML)
    return path


def test_from_job_file_to_best_trial(service: Service, yaml_file: Path) -> None:
    with service.client() as client:
        job = client.submit(yaml_file)
        assert job["spec"]["space"]["lr"] == {"type": "float", "min": 1e-4, "max": 0.3, "scale": "log"}
        assert job["spec"]["space"]["flag"]["values"] == ["on", "off", True, 1]
        driver = Driver(service, job["id"])
        driver.set_status(JobStatus.RUNNING)
        seen: list[int] = []
        results: list[dict[str, object]] = []
        waiting = threading.Thread(
            daemon=True,
            target=lambda: results.append(
                client.wait(job["id"], on_change=lambda job: seen.append(job["progress"]["done"]), poll_s=0.05)
            ),
        )
        waiting.start()
        wait_for(lambda: seen == [0])
        driver.add_trial(0).complete(0.5, log="loss=0.5\n")
        wait_for(lambda: 1 in seen)
        driver.add_trial(1).complete(0.25)
        driver.set_status(JobStatus.COMPLETED)
        waiting.join(20)
        assert results[0]["status"] == "completed"
        assert client.best(job["id"])["by_observation"]["number"] == 1
        assert [trial["number"] for trial in client.trials(job["id"], sort="best", limit=1)] == [1]
        assert len(client.trials(job["id"])) == 2
        assert client.trial(job["id"], 0)["tasks"][0]["status"] == "succeeded"
        assert client.measurements(job["id"], 0, metric="val_accuracy")[0]["value"] == 0.5
        assert client.log(job["id"], 0) == "loss=0.5\n"
        assert client.log(job["id"], 0, start=-4, length=3) == "0.5"
        assert "".join(client.follow_log(job["id"], 0, start=-4)) == "0.5\n"
        kinds = [event["event"] for event in client.events(job["id"])]
        assert kinds[-1] == "progress"
        assert kinds.count("job") == 3
        assert [item["id"] for item in client.jobs(status="completed", search=job["name"])] == [job["id"]]
        assert client.job_counts(framework="pytorch")["completed"] == 1
        assert len("".join(client.trials_csv(job["id"])).splitlines()) == 3
        assert client.change(job["id"], trials=3, minutes=None)["progress"]["total"] == 3
        changes = client.changes()
        assert next(changes) is None
        assert client.resume(job["id"])["target"] == "running"
        assert next(changes) == [job["id"]]
        changes.close()
        assert client.delete(job["id"])["target"] == "deleted"


def test_pages_are_followed_to_the_end(service: Service, driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "_PAGE", 2)
    for number in range(5):
        driver.add_trial(number)
    with service.client() as client:
        assert [trial["number"] for trial in client.trials(driver.job_id)] == [0, 1, 2, 3, 4]
        assert [trial["number"] for trial in client.trials(driver.job_id, limit=3, sort="-number")] == [4, 3, 2]


def test_tenants_and_keys(service: Service) -> None:
    with service.client(service.operator_key) as operator:
        operator.create_tenant("audio", max_parallel=2)
        assert "audio" in {tenant["name"] for tenant in operator.tenants()}
        key = operator.create_key(name="k", role="member", tenant="audio", expires_in_days=1)
        assert key["expires_at"] is not None
        with service.client(key["secret"]) as member:
            assert member.jobs() == []
            assert {"random", "tpe"} <= {item["name"] for item in member.algorithms()}
            assert "pytorch" in {item["name"] for item in member.frameworks()}
        operator.revoke_key(key["id"])
        assert operator.keys("audio")[0]["revoked_at"] is not None


def test_a_refusal_lists_fields_messages_and_remedies(service: Service, yaml_file: Path) -> None:
    with service.client() as client, pytest.raises(TuningApiError) as caught:
        client.submit(load_job_file(yaml_file) | {"budget": {"trials": 0, "paralel": 1}}, yaml_file.parent / "code")
    assert caught.value.status == 422
    assert caught.value.errors[0]["field"] == "budget.paralel"
    assert "budget.paralel: is not a known field. Did you mean 'parallel'?" in str(caught.value)
    with service.client("tsk_wrong.key") as stranger, pytest.raises(TuningApiError) as caught:
        stranger.jobs()
    assert caught.value.status == 401


def test_requests_survive_a_service_that_starts_late(service: Service, tmp_path: Path) -> None:
    port = free_port()
    answers: list[object] = []
    client = TuningClient(f"http://127.0.0.1:{port}", service.operator_key, retry_s=30)
    asking = threading.Thread(daemon=True, target=lambda: answers.append(client.create_tenant("late")))
    asking.start()
    with service.served(port):
        asking.join(30)
    client.close()
    assert answers
    assert [t.name for t in service.access.tenants(service.principal(service.operator_key))].count("late") == 1


def test_a_post_whose_answer_was_lost_has_one_effect(service: Service) -> None:
    lost: list[httpx.Request] = []

    class Unreliable(httpx.HTTPTransport):
        """Loses the first answer to each POST, after the service has worked on it."""

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            response = super().handle_request(request)
            if request.method == "POST" and not lost:
                response.read()
                lost.append(request)
                raise httpx.ReadError("connection reset", request=request)
            return response

    with service.client(service.operator_key) as client:
        transport = client._transport
        before = transport._http
        transport._http = httpx.Client(base_url=service.url, headers=before.headers, transport=Unreliable())
        before.close()
        assert client.create_tenant("once")["name"] == "once"
    assert len(lost) == 1


def test_waiting_survives_a_restart(service: Service, driver: Driver) -> None:
    port = free_port()
    results: list[str] = []
    changes: list[object] = []
    with TuningClient(f"http://127.0.0.1:{port}", service.key, retry_s=0.1) as client:
        waiting = threading.Thread(
            daemon=True,
            target=lambda: results.append(client.wait(driver.job_id, changes.append, poll_s=0.05)["status"]),
        )
        with service.served(port):
            waiting.start()
            wait_for(lambda: changes)
        assert waiting.is_alive()
        driver.set_status(JobStatus.COMPLETED)
        with service.served(port):
            waiting.join(30)
    assert results == ["completed"]


def test_waiting_has_an_end(service: Service, driver: Driver) -> None:
    with service.client() as client, pytest.raises(TimeoutError, match="is running"):
        client.wait(driver.job_id, timeout_s=0.2, poll_s=0.05)


def test_a_service_that_is_elsewhere_is_named() -> None:
    answer = httpx.Response(
        308, headers={"Location": "https://tuning/v1"}, request=httpx.Request("GET", "http://tuning/v1")
    )
    assert "http://tuning/v1 is answered from elsewhere: https://tuning/v1." in str(error_from(answer))


def test_nobody_there_is_said_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setenv("TUNING_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("TUNING_API_KEY", "tsk_a.b")
    with TuningClient(retry_s=0.2) as client, pytest.raises(ServiceUnreachable, match=str(port)) as caught:
        client.jobs()
    assert caught.value.status == 0


@pytest.mark.parametrize(
    ("text", "field", "message"),
    [
        ("a: [1", "job.yaml", "line 1"),
        ("just text", "job.yaml", "no fields"),
        ("name: x", "program", "missing"),
        ("program: nowhere", "program", "no folder"),
    ],
)
def test_a_job_file_that_cannot_be_read_is_explained(tmp_path: Path, text: str, field: str, message: str) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(text)
    with TuningClient("http://127.0.0.1:1", "k") as client, pytest.raises(BadJobFile) as caught:
        client.submit(path)
    assert caught.value.errors[0]["field"].endswith(field)
    assert message in str(caught.value)


def test_a_missing_job_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadJobFile, match=r"none\.yaml"):
        load_job_file(tmp_path / "none.yaml")


def test_numbers_in_yaml_are_what_they_look_like(tmp_path: Path) -> None:
    path = tmp_path / "numbers.yaml"
    path.write_text("a: [1e-4, 1.0e-4, 1E3, -2.5e+1, .5, 7, 1.5, -.inf]\nb: [1e, e5, 1.2.3, 2026-01-01, no, 0x10]\n")
    document = load_job_file(path)
    assert document["a"] == [1e-4, 1e-4, 1000.0, -25.0, 0.5, 7, 1.5, float("-inf")]
    assert document["b"] == ["1e", "e5", "1.2.3", "2026-01-01", "no", 16]


def test_a_json_job_file_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    path.write_text(json.dumps(job_file("0" * 64)))
    assert load_job_file(path) == job_file("0" * 64)


TRICKY = {
    "opt": {
        "type": "categorical",
        "values": ["on", "1e-4", "no", "null", "2020-01-01", "~", "", "a: b", True, 1, 1e-5],
    },
    "lr": {"type": "float", "min": 1e-10, "max": 1e22, "scale": "log", "default": 1e-3},
    "n": {"type": "int", "min": 0, "max": 8, "when": {"opt": ["on", True]}},
    "y": {"type": "bool"},
}


def test_a_job_is_written_as_a_job_file_that_makes_the_same_job(service: Service, yaml_file: Path) -> None:
    document = load_job_file(yaml_file) | {
        "space": TRICKY,
        "constraints": ["lr < 1 or y", "opt != 'on'"],
        "points": [{"opt": "1e-4", "lr": 0.1}, {"opt": True, "n": 3}],
        "budget": {"trials": 9, "minutes": 2.5},
    }
    document["space"] = TRICKY | {"opt": TRICKY["opt"] | {"default": "no"}}
    with service.client() as client:
        first = client.submit(document, yaml_file.parent / "code")
        written = yaml_file.parent / "again.yaml"
        written.write_text(client.job_file(first["id"]))
        second = client.submit(written)
        assert json.dumps(second["spec"]) == json.dumps(first["spec"])
        assert load_job_file(written)["space"] == document["space"]
        # Readers of the older YAML read the same.
        assert (
            yaml.safe_load(written.read_text())["space"]["opt"]["values"][:10]
            == document["space"]["opt"]["values"][:10]
        )


def test_points_are_added_and_listed(service: Service, driver: Driver) -> None:
    with service.client() as client:
        queued = client.add_points(driver.job_id, [{"lr": 0.1}, {"optimizer": "adam"}])
        assert [(p["source"], p["params"]["optimizer"]) for p in queued] == [("point 1", "sgd"), ("point 2", "adam")]
        assert client.points(driver.job_id) == queued
        with pytest.raises(TuningApiError, match=r"points\.0\.lr: 7 is outside"):
            client.add_points(driver.job_id, [{"lr": 7}])
        with pytest.raises(BadJobFile, match="cannot be written as JSON"):
            client.add_points(driver.job_id, [{"lr": float("nan")}])


def test_what_a_trial_left_is_downloaded_as_it_was_stored(service: Service, driver: Driver, tmp_path: Path) -> None:
    run = driver.add_trial(0)
    run.claim()
    headers = {"Authorization": f"Bearer {service.token(run.task_id)}"}
    for path, data in (("model.pt", b"x" * 3_000_000), ("a/b/ü%20.txt", b"y")):
        url = f"{service.url}/v1/tasks/{run.task_id}/artifacts/{quote(path)}"
        assert httpx.put(url, content=data, headers=headers).status_code == 200
    folder = tmp_path / "down"
    (folder / "model.pt").parent.mkdir()
    (folder / "model.pt").write_text("older")
    with service.client() as client:
        made = client.download_artifacts(driver.job_id, 0, folder)
        assert client.resources(driver.job_id, 0)["elapsed_s"] == []
        assert [item["bytes"] for item in client.artifacts(driver.job_id, 0, task=0)] == [1, 3_000_000]
    assert made == [folder / "a/b/ü%20.txt", folder / "model.pt"]
    assert sorted(p for p in folder.rglob("*") if p.is_file()) == sorted(made)
    assert (folder / "model.pt").read_bytes() == b"x" * 3_000_000


@pytest.mark.parametrize(("path", "told"), [("../up", "leads elsewhere"), ("model.pt", "not as it was stored")])
def test_a_download_that_is_not_what_was_announced_is_not_kept(
    service: Service, driver: Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, told: str
) -> None:
    run = driver.add_trial(0)
    run.claim()
    url = f"{service.url}/v1/tasks/{run.task_id}/artifacts/model.pt"
    httpx.put(url, content=b"x", headers={"Authorization": f"Bearer {service.token(run.task_id)}"})
    with service.client() as client:
        monkeypatch.setattr(client, "artifacts", lambda *_, **__: [{"path": path, "sha256": "0" * 64}])
        with pytest.raises(TuningApiError, match=told):
            client.download_artifacts(driver.job_id, 0, tmp_path / "down")
    assert [p for p in tmp_path.rglob("*") if p.is_file() and "down" in p.parts] == []
