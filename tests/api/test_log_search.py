"""A text in a log."""

from typing import Any

import pytest

from tests.rest_service import Driver, Service
from tuning_service.manager.log_search import LogSearchMgr

LOG = (
    "epoch 1 loss=0.5\n"
    "WARNING: Straße\n"
    "epoch 2 loss=NaN nan\n"
    "\n"
    f"{'x' * 1000}needle{'y' * 1000}needle\n"
    "100% [a.b]\r\n"
    "epoch 3"
)


@pytest.fixture
def logged(service: Service, driver: Driver) -> Service:
    run = driver.add_trial(0)
    assert run.claim().status_code == 200
    for start in range(0, len(LOG), 300):  # in several pieces
        assert run.report(log=LOG[start : start + 300]).status_code == 200
    return service


def search(service: Service, driver: Driver, q: str, number: int = 0, **params: Any) -> dict[str, Any]:
    with service.http() as http:
        answer = http.get(f"/v1/tuning-jobs/{driver.job_id}/trials/{number}/log/search", params={"q": q, **params})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_lines_that_hold_a_text(logged: Service, driver: Driver) -> None:
    data = LOG.encode()
    found = search(logged, driver, "EPOCH")
    assert [match["line"] for match in found["matches"]] == [1, 3, 7]
    assert [match["text"] for match in found["matches"]] == ["epoch 1 loss=0.5", "epoch 2 loss=NaN nan", "epoch 3"]
    for match in found["matches"]:
        assert data[match["offset"] :].startswith(b"epoch")
        assert match["text_offset"] == match["offset"]
    assert (found["total"], found["searched"], found["size"]) == (3, len(data), len(data))
    assert (found["stopped_early"], found["complete"]) == (False, False)
    assert search(logged, driver, "EPOCH", match_case=True)["total"] == 0
    assert search(logged, driver, "STRAßE")["matches"][0]["line"] == 2
    assert search(logged, driver, "nan", match_case=True)["matches"][0]["offset"] == data.index(b" nan") + 1
    # As it is: no pattern; and a return at the line's end is not shown.
    assert search(logged, driver, "a.b")["matches"][0]["text"] == "100% [a.b]"
    assert search(logged, driver, "a?b")["total"] == 0
    assert search(logged, driver, "5\nW")["total"] == 1


def test_a_long_line_is_cut_around_the_match(logged: Service, driver: Driver) -> None:
    (match,) = search(logged, driver, "needle")["matches"]  # the line, once
    assert match["line"] == 5
    assert len(match["text"]) == 400
    assert match["text"][match["offset"] - match["text_offset"] :].startswith("needley")


def test_pages_forward_and_back(logged: Service, driver: Driver) -> None:
    first = search(logged, driver, "epoch", limit=1)
    assert ([match["line"] for match in first["matches"]], first["total"]) == ([1], 3)
    following = search(logged, driver, "epoch", limit=5, after=first["matches"][0]["offset"])
    assert ([match["line"] for match in following["matches"]], following["total"]) == ([3, 7], 3)
    last = following["matches"][-1]["offset"]
    assert [match["line"] for match in search(logged, driver, "epoch", limit=1, before=last)["matches"]] == [3]


def test_which_log_is_searched(logged: Service, driver: Driver) -> None:
    assert search(logged, driver, "epoch", task=0)["total"] == 3
    with logged.http() as http:
        path = f"/v1/tuning-jobs/{driver.job_id}/trials/0/log/search"
        assert http.get(path, params={"q": "x", "task": 1}).status_code == 404
        assert http.get(path).status_code == 422
        assert http.get(path, params={"q": ""}).status_code == 422
        assert http.get(path.replace("/0/", "/9/"), params={"q": "x"}).status_code == 404
    with logged.client() as client:
        assert client.search_log(driver.job_id, 0, "epoch", limit=1)["total"] == 3


def test_a_large_log_is_searched_to_its_limit(service: Service, driver: Driver) -> None:
    run = driver.add_trial(0)
    assert run.claim().status_code == 200
    line = b"step 12345 loss=0.25 " + b"." * 42 + b"\n"
    task = run.task_id
    size, written = 0, 9 * 2**20
    while size < written:  # as a runner's reports are stored
        piece = line * 4096
        service.artifacts.put_log(service.principal().tenant_id, driver.job_id, task, size, piece)
        size += len(piece)
    # A match on the edge of the pieces that are read, and a line without an end.
    edge = 4 * 2**20
    service.artifacts.put_log(service.principal().tenant_id, driver.job_id, task, size, b"z" * 3_000_000 + b"end")
    size += 3_000_003
    with service.store.write() as unit:
        from sqlalchemy import update

        from tuning_service.storage.tables import tuning_tasks

        unit._connection.execute(update(tuning_tasks).where(tuning_tasks.c.id == task).values(log_bytes=size))
    found = search(service, driver, "STEP 12345", limit=2, after=edge - 65)
    assert found["total"] == (size - 3_000_003) // len(line)
    assert [match["offset"] for match in found["matches"]] == [edge - 64, edge] if edge % 64 == 0 else True
    assert all(match["line"] == match["offset"] // len(line) + 1 for match in found["matches"])
    (match,) = search(service, driver, "zend")["matches"]
    assert match["offset"] == size - 4
    assert match["line"] == (size - 3_000_003) // len(line) + 1
    brief = LogSearchMgr(service.store, service.artifacts, most_bytes=640)
    part = brief.search(service.principal(), driver.job_id, 0, "step", task=None, match_case=False, limit=5)
    assert (part.total, part.searched, part.size) == (640 // len(line), 640, size)
