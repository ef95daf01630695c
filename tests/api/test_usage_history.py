"""What was used, month by month."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import insert

from tests.rest_service import Driver, Service
from tuning_service.storage.tables import usage


def month(back: int) -> str:
    now = datetime.now(UTC)
    place = 12 * now.year + now.month - 1 - back
    return f"{place // 12}-{place % 12 + 1:02d}"


@pytest.fixture
def used(service: Service) -> Service:
    rows = [
        (service.principal().tenant_id, month(0), "default", 3, 7200.0, 3600.0, 1.5),
        (service.principal().tenant_id, month(0), "big", 1, 3600.0, 0.0, 0.0),
        (service.principal().tenant_id, month(2), "default", 2, 1800.0, 0.0, 0.0),
        (service.principal().tenant_id, month(13), "default", 9, 9.0, 0.0, 0.0),
        (service.principal(service.keys["speech/member"]).tenant_id, month(1), "default", 7, 36.0, 0.0, 0.0),
    ]
    names = ("tenant_id", "month", "pool", "tasks", "cpu_s", "gpu_s", "cost")
    with service.store.write() as unit:
        unit._connection.execute(insert(usage), [dict(zip(names, row, strict=True)) for row in rows])
    return service


def test_the_own_months_by_pool(used: Service) -> None:
    with used.client(used.keys["vision/viewer"]) as client:
        (own,) = client.usage(3)
        assert len(client.usage()[0]["months"]) == 12
    assert own["tenant"]["name"] == "vision"
    assert own["tenant"]["max_parallel"] == 4
    assert own["tenant"]["usage"]["gpu_hours"] == 1.0
    assert [entry["month"] for entry in own["months"]] == [month(2), month(1), month(0)]
    then, between, now = own["months"]
    assert (then["tasks"], then["cpu_hours"], then["gpu_hours"], then["cost"]) == (2, 0.5, 0.0, 0.0)
    assert (between["tasks"], between["pools"]) == (0, [])
    assert (now["tasks"], now["cpu_hours"], now["gpu_hours"], now["cost"]) == (4, 3.0, 1.0, 1.5)
    assert [(pool["pool"], pool["tasks"]) for pool in now["pools"]] == [("big", 1), ("default", 3)]


def test_what_runs_counts(used: Service, driver: Driver) -> None:
    assert driver.add_trial(0).claim().status_code == 200
    with used.client() as client:
        (own,) = client.usage(1)
    assert own["months"][-1]["cpu_hours"] > 3.0
    assert own["months"][-1]["tasks"] == 4
    assert own["tenant"]["usage"]["parallel"] == 1


def test_whose_usage_one_may_see(used: Service) -> None:
    with used.http(used.operator_key) as operator:
        everybody = operator.get("/v1/usage").json()["tenants"]
        assert [one["tenant"]["name"] for one in everybody] == ["speech", "vision"]
        assert everybody[0]["months"][-2]["tasks"] == 7
        (one,) = operator.get("/v1/usage", params={"tenant": "speech", "months": 2}).json()["tenants"]
        assert [entry["tasks"] for entry in one["months"]] == [7, 0]
        assert operator.get("/v1/usage", params={"tenant": "nobody"}).status_code == 404
        assert operator.get("/v1/usage", params={"months": 0}).status_code == 422
        assert operator.get("/v1/usage", params={"months": 121}).status_code == 422
    with used.http() as member:
        assert member.get("/v1/usage", params={"tenant": "speech"}).status_code == 404
        assert member.get("/v1/usage", params={"tenant": "vision"}).status_code == 200
