"""What charts read, on each kind of database."""

import pytest

from tests.samples import a_task, a_trial, stored_job
from tuning_service.domain.state import TaskStatus, TrialStatus
from tuning_service.domain.trial import Measurement, Outcome
from tuning_service.manager.analysis_mgr import AnalysisMgr


def a_curve(store, job, number, values, *, metric="accuracy", status=TaskStatus.SUCCEEDED):
    """A completed trial whose execution measured `values`; the task."""
    trial = a_trial(
        job, number, status=TrialStatus.COMPLETED, value=0.5, values={"accuracy": 0.5}, started_at=5.0, ended_at=9.0
    )
    task = a_task(trial, status=TaskStatus.CLAIMED, claimed_at=5.0, host="h", gpus=("0", "1"))
    points = tuple(Measurement(step=s, metric=metric, value=v, elapsed_s=s / 2) for s, v in values)
    with store.write() as unit:
        unit.control.add_trials([trial])
        unit.control.add_tasks([task])
        unit.runner.report(task, points, 0, 6.0)
        if status is not TaskStatus.CLAIMED:
            unit.runner.end(task, Outcome(status=status), 9.0)
            unit.control.set_trial(trial, 9.0, settled=number)
    return task


@pytest.fixture
def job(store, alice):
    return stored_job(store, alice)


def steps(count):
    return [(10 * i + 3, i / count) for i in range(count)]


def test_outlines_are_of_one_tenant_and_of_what_is_new(store, alice, bob, job):
    a_curve(store, job, 0, steps(3))
    a_curve(store, job, 1, steps(3), status=TaskStatus.CLAIMED)
    with store.read() as unit:
        rows = unit.outlines_for(alice)
        assert [t.number for t in rows.trials(job.id, after=-1)] == [0, 1]
        assert [t.number for t in rows.trials(job.id, after=0)] == [1]
        assert [(t.host, t.gpus) for t in rows.tasks(job.id, ended_since=0.0)] == [("h", ("0", "1"))] * 2
        assert [t.status for t in rows.tasks(job.id, ended_since=10.0)] == ["claimed"]
        assert unit.outlines_for(bob).trials(job.id, after=-1) == []
        assert unit.outlines_for(bob).tasks(job.id, ended_since=0.0) == []
        assert unit.outlines_for(bob).specs([job.id]) == {}
        assert unit.outlines_for(bob).completed({job.id: -1}) == []


def test_samples_lie_at_equal_distances_with_both_ends(store, alice, job):
    long, short = a_curve(store, job, 0, steps(500)), a_curve(store, job, 1, steps(63))
    other = a_curve(store, job, 2, steps(100), metric="loss")
    ids = [long.id, short.id, other.id]
    with store.read() as unit:
        rows = unit.outlines_for(alice)
        assert rows.long(ids, "accuracy") == {long.id}
        assert rows.long(ids, "loss") == {other.id}
        assert [p[0] for p in rows.measured([short.id], "accuracy")[short.id]] == [s for s, _ in steps(63)]
        sampled = rows.sampled([long.id, other.id], "accuracy", 5)
    assert set(sampled) == {long.id}
    found = [p[0] for p in sampled[long.id]]
    assert (found[0], found[-1], len(found)) == (3, 4993, 5)
    assert all(abs(step - (3 + i * 4990 / 4)) <= 10 for i, step in enumerate(found))


def test_many_long_curves_are_sampled_then_reduced(store, alice, job):
    for number in range(7):
        a_curve(store, job, number, [*steps(200), (5000, float("nan"))])
    analysis = AnalysisMgr(store)
    try:
        first = analysis.curves(alice, job.id)
        assert len(first["curves"]) == 7
        assert first["total_measurements"] is None
        assert "Shown by samples" in first["note"]
        analysis._keeper.settle()
        second = analysis.curves(alice, job.id)
        assert second["total_measurements"] == 7 * 201
        assert second["curves"][0]["y"][-1] == "nan"
        assert second["note"] == ""
        assert analysis.curves(alice, job.id) is second
    finally:
        analysis.close()
    with store.read() as unit:
        ids = [t.id for t in unit.outlines_for(alice).tasks(job.id, ended_since=0.0)]
        assert set(unit.outlines_for(alice).kept(ids, "accuracy")) == set(ids)
    with store.write() as unit:
        unit.control.delete_job(job.id)
    with store.read() as unit:
        assert unit.outlines_for(alice).kept(ids, "accuracy") == {}


def test_nothing_is_kept_of_a_task_that_is_gone_or_open(store, job):
    task = a_curve(store, job, 0, steps(100), status=TaskStatus.CLAIMED)
    with store.write() as unit:
        assert not unit.curves.has_ended(task.id)
        assert not unit.curves.has_ended("task_gone")
        unit.curves.keep("task_gone", "accuracy", b"data")
