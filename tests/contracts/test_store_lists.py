"""Lists of many jobs, and signs of change, on each kind of database."""

import dataclasses

import pytest
from sqlalchemy import event

from tests.samples import a_spec, a_task, a_trial, stored_job
from tuning_service.domain.job import Goal
from tuning_service.domain.state import JobStatus, TaskStatus, TrialStatus
from tuning_service.domain.trial import Measurement, Outcome
from tuning_service.manager.watch_mgr import WatchMgr
from tuning_service.storage.job_list import JobQuery


def listed(store, who, query, limit=2):
    """Names on all pages, by cursor; and the same pages by number."""
    found, numbered, after = [], [], None
    with store.read() as unit:
        rows = unit.for_tenant(who).listing
        while page := rows.jobs(query, after=after, limit=limit):
            numbered += rows.jobs(query, offset=len(found), limit=limit)
            found += page
            after = page[-1][1]
        assert sum(rows.counts(query).values()) == len(found)
    assert numbered == found
    return [job.spec.name for job, _ in found]


def test_lists_are_filtered_sorted_and_paged(store, alice, bob):
    ends = {"x_1": 5.0, "A%1": None, "c": 4.0, "x_2": None}
    for place, (name, end) in enumerate(ends.items()):
        spec = a_spec(name=name, framework="command" if name == "c" else "pytorch")
        stored_job(store, alice, spec=spec, ended_at=end, created_at=float(place // 2))
    stored_job(store, bob, spec=a_spec(name="x_3"))
    orders = {"created_at": "x_1 A%1 c x_2", "name": "A%1 c x_1 x_2", "ended_at": "c x_1 A%1 x_2"}
    for order, expected in orders.items():
        assert listed(store, alice, JobQuery(order=order, descending=False)) == expected.split()
    assert listed(store, alice, JobQuery(order="ended_at")) == ["x_1", "c", "x_2", "A%1"]
    assert listed(store, alice, JobQuery()) == ["x_2", "c", "A%1", "x_1"]
    assert listed(store, alice, JobQuery(order="cost")) == ["x_2", "c", "A%1", "x_1"]
    assert listed(store, alice, JobQuery(search="X_")) == ["x_2", "x_1"]
    assert listed(store, alice, JobQuery(search="a%")) == ["A%1"]
    assert listed(store, alice, JobQuery(search="JOB_")) == ["x_2", "c", "A%1", "x_1"]
    assert listed(store, alice, JobQuery(framework="command", algorithm="random", pool="default")) == ["c"]
    assert listed(store, alice, JobQuery(statuses=[JobStatus.FAILED])) == []


def test_a_search_reads_no_specs(store, alice):
    stored_job(store, alice)
    is_sqlite = store.engine.dialect.name == "sqlite"
    asked = []
    event.listen(store.engine, "before_cursor_execute", lambda _c, _u, text, values, *_: asked.append((text, values)))
    with store.read() as unit:
        unit.for_tenant(alice).listing.counts(JobQuery(search="größe"))
        unit.for_tenant(alice).listing.jobs(JobQuery(search="größe"), limit=50)
    plans = []
    with store.engine.connect() as connection:
        if not is_sqlite:
            connection.exec_driver_sql("SET enable_seqscan = off")
            connection.exec_driver_sql("SET enable_bitmapscan = off")
        for text, values in [each for each in asked if "ESCAPE" in each[0]]:
            way = "EXPLAIN QUERY PLAN" if is_sqlite else "EXPLAIN"
            rows = connection.exec_driver_sql(f"{way} {text}", values).all()
            plans.append(" ".join(str(row) for row in rows))
    assert len(plans) == 2
    sign = "USING COVERING INDEX ix_tuning_jobs_list" if is_sqlite else "Index Only Scan"
    assert all(sign in plan and "ix_tuning_jobs_list" in plan for plan in plans), plans


@pytest.mark.parametrize(("goal", "number"), [(Goal.MINIMIZE, 1), (Goal.MAXIMIZE, 2)])
def test_the_best_of_many_jobs_is_that_of_each(store, alice, bob, goal, number):
    values = [(0.5, 0.0), (0.25, 0.0), (0.75, 0.0), (0.75, 0.0), (9.0, 1.0), (-9.0, 1.0)]
    jobs = [stored_job(store, alice) for _ in range(2)]
    with store.write() as unit:
        for job, part in zip(jobs, (values, values[4:]), strict=True):
            unit.control.add_trials(
                [
                    a_trial(job, n, status=TrialStatus.COMPLETED, value=value, violation=violation)
                    for n, (value, violation) in enumerate(part)
                ]
            )
        scope = unit.for_tenant(alice)
        found = scope.listing.best({job.id: goal for job in jobs})
        for job in jobs:
            [first] = scope.best_trials(job.id, goal, 1)
            best = found[job.id]
            assert (best.number, best.value, best.feasible) == (first.number, first.value, first.feasible)
        assert found[jobs[0].id].number == number
        assert not found[jobs[1].id].feasible
        assert unit.for_tenant(bob).listing.best({jobs[0].id: goal}) == {}


def test_what_a_job_has_used_counts_once_and_goes_with_it(store, alice, bob):
    job = stored_job(store, alice)
    trial = a_trial(job)
    tasks = [a_task(trial, n, cpus=2, gpu_share=0.5, price=4.0) for n in range(2)]
    with store.write() as unit:
        unit.control.add_trials([trial])
        unit.control.add_tasks(tasks)
        for task in tasks:
            unit.runner.claim(task, "nonce", 1000.0)
    first, second = (dataclasses.replace(t, status=TaskStatus.CLAIMED, claimed_at=1000.0) for t in tasks)
    for _ in range(2):
        with store.write() as unit:
            unit.control.end_task(first, Outcome(status=TaskStatus.LOST), 4600.0)

    def used(who, now):
        with store.read() as unit:
            found = unit.for_tenant(who).listing.usage([job.id], now)[job.id]
        return found.cpu_hours, found.gpu_hours, found.cost

    assert used(alice, 1000.0) == pytest.approx((2.0, 0.5, 2.0))
    assert used(alice, 4600.0) == pytest.approx((4.0, 1.0, 4.0)), "with what runs"
    assert used(bob, 4600.0) == (0.0, 0.0, 0.0)
    with store.write() as unit:
        unit.runner.end(second, Outcome(status=TaskStatus.SUCCEEDED), 4600.0)
    assert used(alice, 9999.0) == pytest.approx((4.0, 1.0, 4.0))
    with store.write() as unit:
        unit.control.delete_job(job.id)
    assert used(alice, 9999.0) == (0.0, 0.0, 0.0)


def test_a_look_out_tells_what_has_changed_since_its_last_look(store, alice, bob):
    job, other = stored_job(store, alice), stored_job(store, bob)
    tenant = alice.tenant_id
    out = WatchMgr(store, lambda: 2.0).look_out()

    def look():
        return out.look([(tenant, job.id), (tenant, other.id)], [tenant])

    assert look().gone == {(tenant, other.id)}, "another tenant's is as one that is not there"
    nothing = look()
    assert (nothing.jobs, nothing.details, nothing.listed) == ({}, set(), set())
    with store.write() as unit:
        unit.control.set_job(dataclasses.replace(job, reason="Waits: place 2"), 3.0)
    assert look().jobs == {tenant: {job.id}}
    trial = a_trial(job)
    task = a_task(trial)
    with store.write() as unit:
        unit.control.add_trials([trial])
        unit.control.add_tasks([task])
    assert look().details == {(tenant, job.id)}
    with store.write() as unit:
        unit.runner.report(task, (), 5, 4.0)
    assert look() == dataclasses.replace(nothing, gone={(tenant, other.id)}), "a sign of life"
    with store.write() as unit:
        unit.runner.report(task, (Measurement(step=1, metric="a", value=0.5, elapsed_s=1.0),), 5, 5.0)
    assert look().details == {(tenant, job.id)}
    with store.write() as unit:
        unit.control.delete_job(job.id)
    after = look()
    assert (after.listed, (tenant, job.id) in after.gone) == ({tenant}, True)
