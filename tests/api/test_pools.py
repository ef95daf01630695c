"""Compute pools: what operators set, what tenants see, and where jobs go."""

import time
from typing import Any

from tests.rest_service import Driver, Service, a_controller, submit
from tuning_service.domain.state import JobStatus


def pool(service: Service, name: str = "h100", **described: Any) -> Any:
    with service.http(service.operator_key) as operator:
        body = {"name": name, "master": "spark://spark:7077"} | described
        return operator.post("/v1/pools", json=body)


def change(service: Service, name: str, **described: Any) -> Any:
    with service.http(service.operator_key) as operator:
        answer = operator.patch(f"/v1/pools/{name}", json=described)
    assert answer.status_code == 200, answer.text
    return answer.json()


def hear_of_controller(service: Service, *, pool: str = "default", ago_s: float = 0.0, **changes: Any) -> None:
    controller = a_controller(id=f"controller-{pool}", pool=pool, seen_at=time.time() - ago_s, lease_s=15.0, **changes)
    with service.store.write() as unit:
        unit.pools.heard_of(controller)


def submitted(service: Service, key: str | None = None, **changes: Any) -> Any:
    with service.http(key) as http:
        return submit(http, **changes)


def test_an_operator_makes_changes_and_deletes_a_pool(service: Service) -> None:
    made = pool(service, conf={"spark.cores.max": "8", "spark.hadoop.fs.s3a.secret.key": "hush"}, price=2.5)
    assert made.status_code == 201
    assert made.json()["conf"] == {"spark.cores.max": "8", "spark.hadoop.fs.s3a.secret.key": "…"}
    assert pool(service).status_code == 409
    back = change(service, "h100", conf={**made.json()["conf"], "spark.cores.max": "4"})
    assert back["conf"]["spark.cores.max"] == "4"
    with service.store.read() as unit:
        assert unit.pools.get("h100").conf["spark.hadoop.fs.s3a.secret.key"] == "hush", "sent back as it was shown"
    changed = change(service, "h100", price=3, drained=True)
    assert (changed["price"], changed["drained"], changed["master"]) == (3, True, "spark://spark:7077")
    with service.http(service.operator_key) as operator:
        assert [p["name"] for p in operator.get("/v1/pools").json()["items"]] == ["default", "h100"]
        assert operator.delete("/v1/pools/h100").status_code == 204
        assert operator.get("/v1/pools/h100").status_code == 404


def test_a_bad_pool_names_its_fields(service: Service) -> None:
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({"name": "H 100"}, ["name"]),
        ({"master": "spark//x"}, ["master"]),
        ({"slots": 0, "price": -1}, ["slots", "price"]),
        ({"tenants": ["vision", "nobody"]}, ["tenants.1"]),
        *(({"master": master}, ["master"]) for master in ("local[x]", "local[0]", "spark://h:99999", "k8s://a\0b")),
        ({"slots": 2_000_000, "price": 1e300}, ["slots", "price"]),
        ({"slots": 10**400}, ["slots"]),
        ({"conf": {"executor.memory": "8g"}}, ["conf.executor.memory"]),
        ({"conf": {"spark.master": "yarn", "spark.a": "a\0b"}}, ["conf.spark.master", "conf.spark.a"]),
        ({"pryce": 1}, ["pryce"]),
    ]
    for described, fields in cases:
        answer = pool(service, **described)
        assert answer.status_code == 422
        assert [e["field"] for e in answer.json()["errors"]] == fields
    with service.http(service.operator_key) as operator:
        assert operator.patch("/v1/pools/default", json={"master": None}).json()["errors"][0]["field"] == "master"
        assert [p["name"] for p in operator.get("/v1/pools").json()["items"]] == ["default"]


def test_a_tenant_sees_the_pools_that_it_may_use_and_nothing_of_their_inside(service: Service) -> None:
    pool(service, "ours", tenants=["vision"], conf={"spark.a": "b"})
    pool(service, "theirs", tenants=["speech"])
    hear_of_controller(service, pool="ours")
    with service.http(service.keys["vision/admin"]) as member:
        seen = {p["name"]: p for p in member.get("/v1/pools").json()["items"]}
        assert set(seen) == {"default", "ours"}
        assert (seen["ours"]["cpus"], seen["ours"]["gpus"], seen["ours"]["trouble"]) == (8, 2, "")
        assert [seen["ours"][name] for name in ("master", "conf", "tenants", "controllers")] == [None] * 4
        assert member.get("/v1/pools/theirs").status_code == 404
        assert member.patch("/v1/pools/theirs", json={"price": 1}).status_code == 404
        assert member.patch("/v1/pools/ours", json={"price": 1}).status_code == 403
        assert member.delete("/v1/pools/ours").status_code == 403
        assert member.post("/v1/pools", json={"name": "x", "master": "yarn"}).status_code == 403


def test_a_job_goes_to_the_pool_it_names_or_to_the_one_called_default(service: Service) -> None:
    pool(service, "h100")
    assert submitted(service).json()["spec"]["pool"] == "default"
    assert submitted(service, pool="h100").json()["spec"]["pool"] == "h100"
    refused = submitted(service, pool="h200").json()["errors"]
    assert refused == [
        {"field": "pool", "message": "there is no pool 'h200' for this tenant.", "remedy": "Use one of default, h100."}
    ]


def test_a_job_that_names_no_pool_goes_to_the_only_one_and_has_to_choose_among_several(service: Service) -> None:
    change(service, "default", master="local[*]", tenants=["speech"])
    nowhere = submitted(service).json()["errors"]
    assert "no compute pool" in nowhere[0]["message"]
    pool(service, "a")
    assert submitted(service).json()["spec"]["pool"] == "a"
    pool(service, "b")
    assert submitted(service).json()["errors"][0]["remedy"] == "Use one of a, b."


def test_a_pool_with_unfinished_jobs_is_not_deleted(service: Service) -> None:
    pool(service, "h100")
    assert submitted(service, pool="h100").status_code == 201
    with service.http(service.operator_key) as operator:
        assert operator.delete("/v1/pools/h100").status_code == 409


def test_a_resumed_job_waits_for_a_controller_and_keeps_its_pool(service: Service) -> None:
    pool(service, "h100")
    path = f"/v1/tuning-jobs/{submitted(service, pool='h100').json()['id']}"
    with service.http() as member, service.http(service.operator_key) as operator:
        member.post(f"{path}/stop")
        Driver(service, path.rpartition("/")[2]).set_status(JobStatus.STOPPED)
        assert member.get(path).json()["reason"] == ""
        resumed = member.post(f"{path}/resume").json()
        assert resumed["reason"] == "Waits: no controller serves the pool 'h100' at present."
        assert operator.delete("/v1/pools/h100").status_code == 409
        member.post(f"{path}/stop")
        assert operator.delete("/v1/pools/h100").status_code == 204


def test_a_pool_that_a_controller_serves_is_not_deleted(service: Service) -> None:
    pool(service, "h100")
    with service.store.write() as unit:
        unit.pools.heard_of(a_controller(pool="h100"))
    with service.http(service.operator_key) as operator:
        refused = operator.delete("/v1/pools/h100")
        assert refused.status_code == 409
        assert "node1 (pid 7); stop it first" in refused.json()["detail"]
        with service.store.write() as unit:
            unit.pools.heard_of(a_controller(pool="h100", seen_at=0.0))
        assert operator.delete("/v1/pools/h100").status_code == 204


def test_a_job_whose_pool_is_gone_or_closed_to_its_tenant_is_not_resumed(service: Service) -> None:
    pool(service, "h100")
    job = submitted(service, pool="h100").json()["id"]
    with service.http() as member, service.http(service.operator_key) as operator:
        member.post(f"/v1/tuning-jobs/{job}/stop")
        Driver(service, job).set_status(JobStatus.STOPPED)
        change(service, "h100", tenants=["speech"])
        refused = member.post(f"/v1/tuning-jobs/{job}/resume")
        assert operator.delete("/v1/pools/h100").status_code == 204
        for answer in (refused, member.post(f"/v1/tuning-jobs/{job}/resume")):
            assert answer.status_code == 409
            assert "There is no pool 'h100' for this tenant any more" in answer.json()["detail"]
        assert member.delete(f"/v1/tuning-jobs/{job}").status_code == 202


def test_a_trial_that_no_stated_slot_can_hold_is_refused(service: Service) -> None:
    pool(service, "small", slots=4, cpus_per_slot=2, gpus_per_slot=1)
    errors = submitted(service, pool="small", resources={"cpus": 4, "gpus": 2}).json()["errors"]
    assert [e["field"] for e in errors] == ["resources.cpus", "resources.gpus"]
    assert submitted(service, pool="small", resources={"cpus": 2, "gpus": 0.5}).status_code == 201
    with service.http() as member:
        seen = member.get("/v1/pools/small").json()
    assert (seen["cpus"], seen["gpus"]) == (8, 4)


def test_a_job_says_that_nobody_serves_its_pool_or_that_it_cannot_be_reached(service: Service) -> None:
    job = submitted(service).json()["id"]

    def reason() -> str:
        with service.http() as member:
            told: str = member.get(f"/v1/tuning-jobs/{job}").json()["reason"]
            assert member.get("/v1/tuning-jobs").json()["items"][0]["reason"] == told
            return told

    assert reason() == "Waits: no controller serves the pool 'default' at present."
    hear_of_controller(service, connected=False, problem="Spark at spark://spark:7077 does not answer.")
    assert reason() == "Waits: the pool 'default' cannot be reached: Spark at spark://spark:7077 does not answer."
    hear_of_controller(service)
    assert reason() == ""
    hear_of_controller(service, ago_s=31)
    assert reason() == "Waits: no controller serves the pool 'default' at present."
    with service.http() as member:
        stopped = member.post(f"/v1/tuning-jobs/{job}/stop").json()["reason"]
        assert stopped == "Waits to be stopped: no controller serves the pool 'default' at present."
        deleted = member.delete(f"/v1/tuning-jobs/{job}").json()["reason"]
        assert deleted == "Waits to be deleted: no controller serves the pool 'default' at present."
    hear_of_controller(service, connected=False)
    assert reason() == "", "one that has no Spark can do that"
    hear_of_controller(service, ago_s=31)
    with service.http() as member:
        assert (
            member.get("/v1/pools/default").json()["trouble"] == "no controller serves the pool 'default' at present."
        )


def test_operators_see_who_serves_a_pool(service: Service) -> None:
    hear_of_controller(service)
    with service.http(service.operator_key) as operator:
        [seen] = operator.get("/v1/pools/default").json()["controllers"]
    assert (seen["host"], seen["pid"], seen["version"], seen["connected"], seen["cpus"]) == (
        "node1",
        7,
        "0.1.0",
        True,
        8,
    )


def test_an_operator_cordons_an_executor_and_its_claims_wait(service: Service, driver: Driver) -> None:
    run, other = driver.add_trial(0), driver.add_trial(1)
    assert other.claim().status_code == 200  # on worker-1, before
    with service.http(service.operator_key) as operator:
        wish = {"reason": "new disk"}
        made = operator.put("/v1/pools/default/cordons/worker-1", json=wish)
        assert (made.status_code, made.json()["set_by"], made.json()["ends_at"]) == (200, "operator", None)
        assert operator.put("/v1/pools/default/cordons/worker-1", json=wish | {"minutes": 5}).json()["ends_at"]
        [cordon] = operator.get("/v1/pools/default").json()["cordons"]
        assert (cordon["host"], cordon["reason"]) == ("worker-1", "new disk")
        assert operator.get("/v1/pools").json()["items"][0]["cordons"] == [cordon]

        for _ in range(2):
            answer = run.claim()
            assert answer.status_code == 202
            assert 0 < answer.json()["seconds"] <= 10
            assert answer.json()["reason"] == "not begun: the executor on worker-1 is left out: new disk"
        assert other.claim().status_code == 200, "what runs there goes on"
        with service.http() as http:
            [task] = http.get(f"/v1/tuning-jobs/{driver.job_id}/trials/0").json()["tasks"]
        assert (task["status"], task["outcome"]["fault"], task["host"]) == ("lost", "service", "worker-1")

        assert operator.delete("/v1/pools/default/cordons/worker-1").status_code == 204
        assert operator.delete("/v1/pools/default/cordons/worker-1").status_code == 404
        assert operator.get("/v1/pools/default").json()["cordons"] == []
    assert run.claim().status_code == 410, "its trial has gone elsewhere"


def test_a_cordon_of_a_host_that_no_trial_ran_on_says_where_they_ran(service: Service, driver: Driver) -> None:
    with service.http(service.operator_key) as operator:
        assert operator.put("/v1/pools/default/cordons/worker-1.lab").json()["note"] == "", "none ran anywhere"
        assert driver.add_trial(0).claim().status_code == 200
        answer = operator.put("/v1/pools/default/cordons/worker-1.lab").json()
        assert answer["note"] == "No trial of this pool's newest jobs ran there; they ran on worker-1."
        assert operator.put("/v1/pools/default/cordons/worker-1").json()["note"] == ""


def test_only_operators_cordon_and_a_host_has_a_name(service: Service) -> None:
    for key in ("vision/admin", "vision/member"):
        with service.http(service.keys[key]) as http:
            assert http.put("/v1/pools/default/cordons/x").status_code == 403
            assert http.delete("/v1/pools/default/cordons/x").status_code == 403
            assert http.get("/v1/pools/default").json()["cordons"] is None
    with service.http(service.operator_key) as operator:
        for host, wish, field in (
            ("%20", {}, "host"),
            ("x", {"minutes": 0}, "minutes"),
            ("x", {"minutes": 1e300}, "minutes"),
            ("x", {"why": ""}, "why"),
        ):
            answer = operator.put(f"/v1/pools/default/cordons/{host}", json=wish)
            assert answer.status_code == 422
            assert [e["field"] for e in answer.json()["errors"]] == [field]
        assert operator.put("/v1/pools/none/cordons/x").status_code == 404


def test_a_cordon_of_another_pool_and_one_that_ended_hold_nobody_up(service: Service, driver: Driver) -> None:
    run = driver.add_trial(0)
    pool(service)
    with service.http(service.operator_key) as operator:
        assert operator.put("/v1/pools/h100/cordons/worker-1").status_code == 200
        wish = {"minutes": 1e-6}
        assert operator.put("/v1/pools/default/cordons/worker-1", json=wish).status_code == 200
    assert run.claim().status_code == 200


def test_a_controller_of_another_version_is_shown_with_its_version_and_its_clock(service: Service) -> None:
    hear_of_controller(service, version="0.0.9", skew_s=3600.0)
    with service.http(service.operator_key) as operator:
        [controller] = operator.get("/v1/pools/default").json()["controllers"]
    assert (controller["version"], controller["skew_s"], controller["connected"]) == ("0.0.9", 3600.0, True)
    assert submitted(service).status_code == 201


def test_the_first_pool_is_looked_after_before_its_controller_has_said_which_cluster_it_is(service: Service) -> None:
    assert change(service, "default", drained=True, price=2.5)["drained"] is True
    with service.http(service.operator_key) as operator:
        refused = operator.patch("/v1/pools/default", json={"slots": 0, "master": ""}).json()
    assert [problem["field"] for problem in refused["errors"]] == ["master", "slots"]
