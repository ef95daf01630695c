"""Logs and events: pieces, ranges, and what comes live."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.rest_service import Driver, Service, submit
from tests.waiting import wait_for
from tuning_service.api import events as events_module
from tuning_service.api import welcome
from tuning_service.domain.state import JobStatus


def log_path(driver: Driver, number: int = 0) -> str:
    return f"/v1/tuning-jobs/{driver.job_id}/trials/{number}/log"


def test_a_log_is_read_in_pieces_and_ranges(service: Service, driver: Driver) -> None:
    text = "épochs 0123456789\n"
    data = text.encode()
    driver.add_trial(0).complete(0.5, log=text)
    path = log_path(driver)
    with service.http() as http:
        whole = http.get(path)
        assert whole.text == text
        assert whole.headers["content-type"] == "text/plain; charset=utf-8"
        assert whole.headers["x-log-complete"] == "true"
        assert http.get(path, params={"start": 3, "length": 4}).content == data[3:7]
        tail = http.get(path, params={"start": -5})
        assert tail.content == data[-5:]
        assert tail.headers["x-log-start"] == str(len(data) - 5)
        for wanted, expected in (("0-3", data[:4]), ("4-", data[4:]), ("-6", data[-6:]), ("4-9999", data[4:])):
            answer = http.get(path, headers={"Range": f"bytes={wanted}"})
            assert (answer.status_code, answer.content) == (206, expected), wanted
        assert http.get(path, headers={"Range": "bytes=0-3"}).headers["content-range"] == f"bytes 0-3/{len(data)}"
        beyond = http.get(path, headers={"Range": "bytes=9999-"})
        assert beyond.status_code == 416
        assert beyond.headers["content-range"] == f"bytes */{len(data)}"
        for odd in ("bytes=-", "bytes=1-2,4-5", "lines=1-2", "bytes=x"):  # to be ignored, says RFC 9110
            assert http.get(path, headers={"Range": odd}).status_code == 200
        assert http.get(path, params={"start": 9999}).content == b""
        assert http.get(path, params={"task": 7}).status_code == 404
        assert http.get(log_path(driver, 5), params={"follow": True}).status_code == 404
        file = http.get(path, params={"download": True})
        assert (file.content, file.headers["content-disposition"]) == (data, 'attachment; filename="trial-0.log"')
        assert http.get(log_path(driver, 5), params={"download": True}).status_code == 404


def test_a_log_is_followed_to_the_end_of_its_execution(service: Service, driver: Driver) -> None:
    run = driver.add_trial(0)
    seen: list[str] = []
    ended = threading.Event()

    def follow() -> None:
        with service.http() as http, http.stream("GET", log_path(driver), params={"follow": True}) as answer:
            for text in answer.iter_text():
                seen.append(text)  # noqa: PERF402  # while it comes
        ended.set()

    reader = threading.Thread(target=follow, daemon=True)
    reader.start()
    run.claim()
    run.report(log="one\n")
    wait_for(lambda: "".join(seen) == "one\n")
    assert not ended.is_set()
    run.report(log="two\n")
    run.finish(0.5)
    assert ended.wait(20)
    reader.join()
    assert "".join(seen) == "one\ntwo\n"


def test_whoever_waits_for_more_of_a_log_costs_the_artifact_store_nothing(
    service: Service, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = driver.add_trial(0)
    run.claim()
    run.report(log="one\n")
    asked: list[int] = []
    read = service.tuning._artifacts.log
    monkeypatch.setattr(service.tuning._artifacts, "log", lambda *place: (asked.append(place[3]), read(*place))[1])
    with service.http() as http:
        assert http.get(log_path(driver)).text == "one\n"
        assert http.get(log_path(driver), params={"start": 4}).text == ""
    assert asked == [0]


def parsed(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    fields: dict[str, Any] = {}
    for line in lines:
        if line.startswith(":"):
            yield {"comment": line}
        elif line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            yield fields | {"data": json.loads(fields["data"])}
            fields = {}


def read_events(http: httpx.Client, job_id: str, after: int = 0, **params: Any) -> Iterator[dict[str, Any]]:
    headers = {"Last-Event-ID": str(after)}
    with http.stream("GET", f"/v1/tuning-jobs/{job_id}/events", headers=headers, params=params) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield from parsed(answer.iter_lines())


def test_events_show_progress_live_and_end_with_the_job(service: Service, driver: Driver) -> None:
    with service.http() as http:
        stream = read_events(http, driver.job_id)
        first = [next(stream) for _ in range(3)]
        assert [event["event"] for event in first] == ["job", "job", "progress"]
        assert first[2]["data"]["progress"]["done"] == 0
        driver.add_trial(0).complete(0.75)
        driver.set_status(JobStatus.COMPLETED)
        rest = list(stream)
    assert [e["data"]["status"] for e in rest if e["event"] == "trial"] == ["running", "completed"]
    assert [e["data"]["status"] for e in rest if e["event"] == "job"] == ["completed"]
    last = [e for e in rest if e["event"] == "progress"][-1]["data"]
    assert last["status"] == "completed"
    assert last["progress"]["best_value"] == 0.75
    ids = [int(e["id"]) for e in first + rest if "id" in e]
    assert len(set(ids)) == len(ids)
    with service.http() as http:
        resumed = list(read_events(http, driver.job_id, after=ids[2]))
    assert [int(e["id"]) for e in resumed if "id" in e] == ids[3:]


def test_an_event_that_is_committed_late_is_sent_once(service: Service, driver: Driver) -> None:
    """Two transactions: the one with the lower id is committed after the other was read."""
    store = service.store
    now_ids: list[int] = []

    def add(unit: Any, event_id: int, name: str) -> None:
        import time

        from sqlalchemy import insert

        from tuning_service.storage.tables import events

        values = {"id": event_id, "job_id": driver.job_id, "kind": "trial", "data": {"name": name}, "at": time.time()}
        unit._connection.execute(insert(events).values(**values))

    with service.http() as http:
        stream = read_events(http, driver.job_id)
        while "id" in (event := next(stream)):
            now_ids.append(int(event["id"]))
        top = max(now_ids)
        with store.write() as unit:
            add(unit, top + 2, "second")
        assert next(stream)["data"]["name"] == "second"
        with store.write() as unit:
            add(unit, top + 1, "first, late")
        assert next(stream)["data"]["name"] == "first, late"
        driver.set_status(JobStatus.COMPLETED)
        rest = list(stream)
    assert not [event for event in rest if event["event"] == "trial"]


def test_a_deleted_job_ends_its_stream_with_an_event(service: Service, driver: Driver) -> None:
    with service.http() as http:
        stream = read_events(http, driver.job_id)
        next(stream)
        http.delete(f"/v1/tuning-jobs/{driver.job_id}")
        driver.delete()
        assert list(stream)[-1] == {"event": "deleted", "data": {}}
        assert http.get(f"/v1/tuning-jobs/{driver.job_id}/events").status_code == 404


def test_a_silent_stream_lives_until_its_key_is_revoked(
    service: Service, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_module, "HEARTBEAT_S", 0.2)
    monkeypatch.setattr(welcome, "CHECK_S", 0.2)
    key_id = service.principal().key_id
    with service.http() as http:
        stream = read_events(http, driver.job_id)
        while "comment" not in next(stream):
            pass
        service.access.revoke_key(service.principal(service.operator_key), key_id)
        assert all("comment" in event for event in stream)


def test_streams_end_when_the_service_stops(tmp_path: Any) -> None:
    service = Service(tmp_path)
    with service.served(), service.http() as http:
        job_id = submit(http).json()["id"]
        stream = read_events(http, job_id, follow=True)
        next(stream)
        service.app.state.stopping.set()
        list(stream)  # ends
    service.close()
