"""Streams of what changes, and what they cost when many listen."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import event

from tests.api.test_streams import parsed, read_events
from tests.rest_service import Driver, Service
from tests.waiting import wait_for
from tuning_service.api.reading import Following
from tuning_service.api.watching import Watch
from tuning_service.domain.state import JobStatus
from tuning_service.manager.watch_mgr import WatchMgr

QUIET_S = 0.6  # a few looks


def changes(http: Any) -> Iterator[dict[str, Any]]:
    with http.stream("GET", "/v1/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for found in parsed(answer.iter_lines()):
            assert found["event"] == "changed"
            yield found["data"]


def test_a_tenant_is_told_which_of_its_jobs_have_changed(service: Service, driver: Driver) -> None:
    with service.http() as http, service.http(service.keys["speech/viewer"]) as other:
        ours, theirs = changes(http), changes(other)
        assert next(ours) == next(theirs) == {"jobs": [], "all": True}
        driver.add_trial(0).complete(0.5)
        assert next(ours) == {"jobs": [driver.job_id], "all": False}
        driver.delete()
        while not (told := next(ours))["all"]:
            assert told["jobs"] == [driver.job_id]
        service.app.state.stopping.set()
        assert list(theirs) == [], "another tenant's jobs are no business of theirs"
    with service.http(service.operator_key) as operator:
        assert operator.get("/v1/events").status_code == 403


def test_many_who_follow_a_job_cost_as_one(service: Service, driver: Driver) -> None:
    asked: list[str] = []
    heard: list[list[str]] = [[] for _ in range(20)]

    def listen(mine: list[str]) -> None:
        with service.http() as http:
            for found in read_events(http, driver.job_id):
                mine.append(found["event"])  # noqa: PERF401  # while it comes

    listeners = [threading.Thread(target=listen, args=(mine,)) for mine in heard]
    for listener in listeners:
        listener.start()
    wait_for(lambda: all("progress" in mine for mine in heard))
    run = driver.add_trial(0)
    run.claim()
    wait_for(lambda: all("trial" in mine for mine in heard))
    event.listen(service.store.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    run.finish(0.5)
    wait_for(lambda: all(mine.count("trial") == 2 for mine in heard))
    # A page's worth for each of them would be twenty times the number of jobs read.
    reads = [sql for sql in asked if "FROM events" in sql and "tuning_jobs" in sql and "LIMIT" in sql]
    assert 0 < len(reads) < 10
    driver.set_status(JobStatus.COMPLETED)
    for listener in listeners:
        listener.join(20)
        assert not listener.is_alive()


def test_who_follows_a_job_that_is_deleted_reads_no_more_than_is_new(
    service: Service, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And so leaves the process to others: what was read a moment ago would be looked at without end."""
    looks: list[int] = []
    news = Following.news

    async def counted(self: Following, version: int, *, within_s: float) -> Any:
        looks.append(version)
        return await news(self, version, within_s=within_s)

    monkeypatch.setattr(Following, "news", counted)
    with service.http() as http, service.http() as another:
        stream = read_events(http, driver.job_id)
        for found in stream:
            if found["event"] == "progress":
                break
        another.delete(f"/v1/tuning-jobs/{driver.job_id}")
        driver.set_status(JobStatus.DELETING)
        while next(stream)["data"].get("status") != "deleting":
            pass
        driver.delete()
        assert [found["event"] for found in stream][-1] == "deleted"
    assert len(looks) < 20


def test_versions_come_for_what_pages_show_and_nothing_is_asked_without_watchers(
    service: Service, driver: Driver
) -> None:
    run = driver.add_trial(0)

    async def watch_it() -> None:
        watch = Watch(WatchMgr(service.store), threading.Event())
        who = service.principal()
        async with watch.job(who, driver.job_id) as seen, watch.tenant(who) as all_jobs:
            first = await seen.next(timeout_s=20)
            assert first is not None
            assert await all_jobs.next(timeout_s=20) is not None
            assert all_jobs.jobs is None
            await asyncio.to_thread(run.claim)
            second = await seen.next(timeout_s=20)
            assert second is not None
            assert second > first
            await all_jobs.next(timeout_s=20)
            assert all_jobs.jobs == {driver.job_id}
            await asyncio.to_thread(run.report, (1, "loss", 0.5))
            assert await seen.next(timeout_s=20), "a measurement"
            await asyncio.to_thread(run.report)
            assert await seen.next(timeout_s=QUIET_S) is None, "a sign of life is nothing to show"
            assert await all_jobs.next(timeout_s=QUIET_S) is None, "the list shows no curves"
            async with watch.job(service.principal(service.keys["speech/member"]), driver.job_id) as foreign:
                assert [version async for version in foreign] == []
            driver.delete()
            assert [version async for version in seen] == []
            assert seen.over
            assert await all_jobs.next(timeout_s=20)
            assert all_jobs.jobs is None
        [looks] = [task for task in asyncio.all_tasks() if task.get_name() == "watching"]
        await asyncio.wait_for(looks, 20)  # it ends: nothing is asked for nobody

    asyncio.run(watch_it())
