"""Weights and quotas: what operators set, and what requests run into."""

from pathlib import Path

from tests.plugins import plugin_files, zipped
from tests.rest_service import Driver, Service, archive, job_file, running, submit, upload
from tuning_service.domain.state import JobStatus


def change(service: Service, tenant: str = "vision", **quotas: float | None) -> dict[str, object]:
    with service.http(service.operator_key) as operator:
        answer = operator.patch(f"/v1/tenants/{tenant}", json=quotas)
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


def test_an_operator_changes_some_quotas_and_the_rest_stays(service: Service) -> None:
    first = change(service, weight=3, max_gpus=2.5)
    second = change(service, max_gpus=None, max_jobs=7)
    assert first["weight"] == second["weight"] == 3
    assert (first["max_gpus"], second["max_gpus"]) == (2.5, None)
    assert second["max_jobs"] == 7
    assert second["max_parallel"] == 4
    with service.http(service.operator_key) as operator:
        listed = {t["name"]: t for t in operator.get("/v1/tenants").json()["items"]}
        assert listed["vision"] == second
        assert operator.get(f"/v1/tenants/{second['id']}").json()["max_jobs"] == 7
        assert operator.patch("/v1/tenants/nobody", json={"weight": 2}).status_code == 404


def test_a_bad_quota_names_its_field_and_changes_nothing(service: Service) -> None:
    with service.http(service.operator_key) as operator:
        before = operator.get("/v1/tenants/vision").json()
        answer = operator.patch(
            "/v1/tenants/vision", json={"weight": 0, "max_parallel": 0, "max_gpus": -1, "max_requests_per_s": 0}
        )
        assert answer.status_code == 422
        fields = [error["field"] for error in answer.json()["errors"]]
        assert fields == ["weight", "max_parallel", "max_gpus", "max_requests_per_s"]
        for quota, value in (("weight", 1e308), ("weight", 1e-308), ("max_requests_per_s", 5e-324), ("max_jobs", -1)):
            answer = operator.patch("/v1/tenants/vision", json={quota: value})
            assert [error["field"] for error in answer.json()["errors"]] == [quota]
        for text in ("NaN", "Infinity", "1e999"):
            answer = operator.patch("/v1/tenants/vision", content=f'{{"weight": {text}}}')
            assert answer.status_code == 422
        assert operator.patch("/v1/tenants/vision", json={"wieght": 2}).json()["errors"][0]["field"] == "wieght"
        assert operator.patch("/v1/tenants/vision", json={"max_parallel": None}).status_code == 422
        assert operator.get("/v1/tenants/vision").json() == before
        made = operator.post("/v1/tenants", json={"name": "audio", "weight": -1})
        assert made.json()["errors"][0]["field"] == "weight"


def test_a_tenant_sees_its_own_quotas_and_use_and_changes_nothing(service: Service) -> None:
    with service.http(service.keys["vision/viewer"]) as viewer:
        own = viewer.get("/v1/tenant").json()
        assert own["name"] == "vision"
        assert own["usage"]["jobs"] == 0
        assert viewer.get("/v1/tenants/speech").status_code == 404
    with service.http(service.keys["vision/admin"]) as admin:
        assert admin.patch("/v1/tenants/vision", json={"weight": 9}).status_code == 403
    with service.http(service.operator_key) as operator:
        assert operator.get("/v1/tenant").status_code == 403


def test_a_job_beyond_the_quota_of_jobs_is_refused_until_one_ends(service: Service) -> None:
    change(service, max_jobs=1)
    with service.http() as member:
        digest = upload(member)
        first = member.post("/v1/tuning-jobs", json=job_file(digest))
        assert first.status_code == 201
        refused = member.post("/v1/tuning-jobs", json=job_file(digest))
        assert refused.status_code == 403
        assert refused.json()["type"].endswith("over-quota")
        assert "quota is 1" in refused.json()["detail"]
        assert len(member.get("/v1/tuning-jobs").json()["items"]) == 1
        assert member.get("/v1/tenant").json()["usage"]["jobs"] == 1
        change(service, max_jobs=2)
        assert member.post("/v1/tuning-jobs", json=job_file(digest)).status_code == 201


def test_a_stopped_job_is_resumed_only_within_the_quota_of_jobs(service: Service, driver: Driver) -> None:
    driver.set_status(JobStatus.STOPPED)
    with service.http() as member:
        assert member.post(f"/v1/tuning-jobs/{driver.job_id}/stop").status_code in {200, 202}
        change(service, max_jobs=0)
        refused = member.post(f"/v1/tuning-jobs/{driver.job_id}/resume")
        assert refused.json()["type"].endswith("over-quota")
        change(service, max_jobs=1)
        assert member.post(f"/v1/tuning-jobs/{driver.job_id}/resume").status_code in {200, 202}


def test_jobs_that_are_resumed_one_after_the_other_count_before_a_controller_takes_them(
    service: Service, driver: Driver
) -> None:
    another = running(service)
    for stopped in (driver, another):
        stopped.set_status(JobStatus.STOPPED)
    change(service, max_jobs=1)
    with service.http() as member:
        for stopped in (driver, another):
            assert member.post(f"/v1/tuning-jobs/{stopped.job_id}/stop").status_code == 200
        first, second = (f"/v1/tuning-jobs/{one.job_id}/resume" for one in (driver, another))
        assert member.post(first).status_code == 200
        assert member.post(second).json()["type"].endswith("over-quota")
        assert member.post(first).status_code == 200, "what is resumed already takes no further place"
        assert member.get("/v1/tenant").json()["usage"]["jobs"] == 1


def test_a_quota_of_jobs_is_each_tenants_own(service: Service) -> None:
    change(service, "speech", max_jobs=0)
    with service.http() as member:
        assert submit(member).status_code == 201


def test_an_upload_beyond_the_quota_of_storage_is_refused_and_nothing_is_kept(service: Service, tmp_path: Path) -> None:
    with service.http() as member:
        digest = upload(member)
        used = member.get("/v1/tenant").json()["usage"]["storage_bytes"]
        assert used > 0
        change(service, max_storage_bytes=used)
        for path, data in (("programs", archive({"train.py": b"print(22)"})), ("plugins", zipped(plugin_files()))):
            refused = member.post(f"/v1/{path}", content=data)
            assert refused.status_code == 403
            assert refused.json()["type"].endswith("over-quota")
        assert [file.name for file in (tmp_path / "artifacts").rglob("*") if file.is_file()] == [digest]
        assert [p["digest"] for p in member.get("/v1/programs").json()["items"]] == [digest]
        # And so is a job, whose logs would come on top.
        assert member.post("/v1/tuning-jobs", json=job_file(digest)).json()["type"].endswith("over-quota")


def test_a_trial_with_more_gpus_than_the_quota_is_refused_at_submission(service: Service) -> None:
    change(service, max_gpus=1)
    with service.http() as member:
        errors = submit(member, resources={"gpus": 2}).json()["errors"]
    assert [e["field"] for e in errors] == ["resources.gpus"]
    assert "quota of 1 GPU" in errors[0]["message"]


def test_requests_beyond_the_rate_are_told_when_to_come_again(service: Service) -> None:
    change(service, max_requests_per_s=3)
    with service.http() as member:
        answers = [member.get("/v1/tenant") for _ in range(30)]
        refused = [a for a in answers if a.status_code == 429]
        assert {a.status_code for a in answers} == {200, 429}
        assert refused[0].json()["type"].endswith("too-many-requests")
        assert int(refused[0].headers["retry-after"]) >= 1
    with service.http(service.keys["speech/member"]) as other:
        assert all(other.get("/v1/tenant").status_code == 200 for _ in range(10))
    with service.http(service.operator_key) as operator:
        assert all(operator.get("/v1/tenants").status_code == 200 for _ in range(10))
