"""What the store promises to those who serve requests, on each kind of database."""

import dataclasses
import math

import pytest
from sqlalchemy import event, func, select

from tests.samples import DIGEST, a_job, a_spec, a_task, a_trial, stored_job
from tuning_service.domain.errors import Conflict, Denied, NotFound, TryAgain
from tuning_service.domain.job import Arguments, Goal, JobSpec
from tuning_service.domain.principal import ApiKey, Principal, Tenant
from tuning_service.domain.space import Space
from tuning_service.domain.state import JobStatus, JobTarget, Role, TaskStatus, TrialStatus
from tuning_service.domain.trial import Measurement, Observation, Outcome
from tuning_service.storage.job_list import JobQuery
from tuning_service.storage.tables import metadata
from tuning_service.storage.tenant_scope import Program, TrialOrder

LONG = "試" * 200
SCRIPTS = "обучение-試験-تجربة-🎛️"


def row_counts(store):
    with store.engine.connect() as connection:
        return {t.name: connection.scalar(select(func.count()).select_from(t)) for t in metadata.sorted_tables}


def with_trials(store, principal, *, values, status=TrialStatus.COMPLETED):
    """A job whose trials have these values, in the order of their numbers."""
    job = stored_job(store, principal)
    trials = [
        a_trial(job, number, value=value, status=status if value is not None else TrialStatus.RUNNING)
        for number, value in enumerate(values)
    ]
    with store.write() as unit:
        unit.control.add_trials(trials)
    return job, trials


# -- the transaction


def test_a_block_that_raises_leaves_nothing_behind(store):
    def fails():
        with store.write() as unit:
            unit.tenancy.add_tenant(Tenant(id="tenant_x", name="x", max_parallel=1, created_at=0.0))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    with store.read() as unit:
        assert unit.tenancy.tenants() == []


def test_managers_are_known_by_their_last_word_until_they_end_in_good_order(store):
    with store.write() as unit:
        assert (unit.managers.last_word(), list(unit.managers.all())) == (0.0, [])
        unit.managers.heard_of("one", 10.0)
        unit.managers.heard_of("two", 11.0, "no room")
        unit.managers.heard_of("one", 12.0)
    with store.read() as unit:
        assert unit.managers.last_word() == 12.0
        assert {(m.id, m.seen_at, m.problem) for m in unit.managers.all()} == {
            ("one", 12.0, ""),
            ("two", 11.0, "no room"),
        }
    with store.write() as unit:
        unit.managers.forget("one", 12.0)
        assert unit.managers.last_word() == 11.0
        unit.managers.forget("none", 11.0 + 25 * 3600)
        assert list(unit.managers.all()) == []


# -- tenants and keys


def test_tenants_are_found_by_id_and_by_name_and_listed_by_name(store, bob, alice):
    with store.read() as unit:
        assert unit.tenancy.tenant("tenant_a") == unit.tenancy.tenant("a") == alice.tenant
        assert unit.tenancy.tenants() == [alice.tenant, bob.tenant]
        with pytest.raises(NotFound):
            unit.tenancy.tenant("nobody")


def test_a_tenant_named_like_the_id_of_another_does_not_stand_in_for_it(store):
    impostor = Tenant(id="tenant_0", name="tenant_1", max_parallel=1, created_at=0.0)
    real = Tenant(id="tenant_1", name="real", max_parallel=1, created_at=0.0)
    with store.write() as unit:
        unit.tenancy.add_tenant(impostor)
        unit.tenancy.add_tenant(real)
    with store.read() as unit:
        assert unit.tenancy.tenant("tenant_1") == real


def test_a_tenant_name_is_taken_once(store, alice):
    twin = Tenant(id="tenant_twin", name="a", max_parallel=1, created_at=0.0)
    with pytest.raises(Conflict, match="'a'"), store.write() as unit:
        unit.tenancy.add_tenant(twin)


def test_keys_come_back_as_stored_and_only_to_their_owner(store, alice, bob):
    mine = ApiKey(id="key_1", tenant_id="tenant_a", name=LONG[:64], role=Role.ADMIN, created_at=1.5, expires_at=9.25)
    theirs = ApiKey(id="key_2", tenant_id="tenant_b", name="k", role=Role.VIEWER, created_at=1.0)
    operators = ApiKey(id="key_3", tenant_id=None, name="k", role=Role.OPERATOR, created_at=1.0)
    with store.write() as unit:
        for key in (mine, theirs, operators):
            unit.tenancy.add_key(key, "h" * 64)
    with store.read() as unit:
        assert unit.tenancy.key("key_1") == (mine, "h" * 64)
        assert unit.tenancy.key("key_9") is None
        assert unit.tenancy.keys("tenant_a") == [mine]
        assert unit.tenancy.keys(None) == [operators]


def test_the_first_revocation_of_a_key_counts(store, alice):
    with store.write() as unit:
        unit.tenancy.add_key(ApiKey(id="k", tenant_id=None, name="k", role=Role.OPERATOR, created_at=1.0), "h")
        unit.tenancy.revoke_key("k", 5.0)
        unit.tenancy.revoke_key("k", 6.0)
        assert unit.tenancy.key("k")[0].revoked_at == 5.0


def test_a_secret_is_made_once_and_is_not_another_ones(store):
    with store.write() as unit:
        first = unit.tenancy.secret("one")
    with store.write() as unit:
        assert unit.tenancy.secret("one") == first
        assert unit.tenancy.secret("two") != first
        assert len(first) == 32


# -- one tenant's rows


def test_an_operator_has_no_rows(store):
    operator = Principal(key_id="k", role=Role.OPERATOR, tenant=None)
    with store.read() as unit, pytest.raises(Denied):
        unit.for_tenant(operator)


def test_a_program_stored_again_stays_as_it_was_and_pages_go_on(store, alice):
    with store.write() as unit:
        scope = unit.for_tenant(alice)
        scope.add_program(Program(digest=DIGEST, bytes=99, files=(), created_at=9.0))
        for digit in "abc":
            scope.add_program(Program(digest=digit * 64, bytes=1, files=(SCRIPTS,), created_at=2.0))
        assert scope.program(DIGEST) == Program(digest=DIGEST, bytes=10, files=("train.py",), created_at=1.0)
        assert scope.program("e" * 64) is None
        assert [p.digest[0] for p in scope.programs(after="", limit=2)] == ["a", "b"]
        assert [p.digest[0] for p in scope.programs(after="b" * 64, limit=9)] == ["c", "d"]
        assert scope.programs(after="", limit=1)[0].files == (SCRIPTS,)


def test_a_job_comes_back_as_stored_in_every_script_and_at_full_length(store, alice):
    spec = a_spec(
        name=LONG,
        command=f"python {SCRIPTS}.py " + "x" * 20_000,
        space=Space.from_dict(
            {
                "opt": {"type": "categorical", "values": ["sgd", SCRIPTS, True, 1, 0.5]},
                "n": {"type": "int", "min": 1, "max": 2**53, "scale": "log", "when": {"opt": ["sgd"]}},
            }
        ),
        seed=2**63 - 1,
        log_patterns=(r"(?P<accuracy>\d+)", "\\x00"),
        log_files=("logs/*.log", "**/\u00e4 b"),
        arguments=Arguments.PAIRS,
    )
    job = stored_job(store, alice, spec=spec, reason="\N{SNOWMAN}\n")
    with store.read() as unit:
        read = unit.for_tenant(alice).job(job.id)
    assert read == job
    assert JobSpec.from_dict(read.spec.to_dict()) == spec


def test_jobs_are_paged_newest_first(store, alice):
    jobs = [stored_job(store, alice, status=s) for s in (JobStatus.CREATED, JobStatus.STOPPED, JobStatus.CREATED)]
    with store.read() as unit:
        scope = unit.for_tenant(alice)
        first = scope.listing.jobs(JobQuery(), limit=2)
        assert [job for job, _ in first] == [jobs[2], jobs[1]]
        assert [job for job, _ in scope.listing.jobs(JobQuery(), after=first[-1][1], limit=2)] == [jobs[0]]
        created = scope.listing.jobs(JobQuery(statuses=[JobStatus.CREATED]), limit=9)
        assert [job for job, _ in created] == [jobs[2], jobs[0]]


def test_a_request_changes_the_target_and_nothing_else(store, alice):
    job = stored_job(store, alice)
    with store.write() as unit:
        unit.for_tenant(alice).set_target(job, JobTarget.DELETED, 7.0)
    with store.read() as unit:
        assert unit.for_tenant(alice).job(job.id) == dataclasses.replace(job, target=JobTarget.DELETED)
        assert unit.control.targets([job.id, "job_none"]) == {job.id: JobTarget.DELETED}


def test_events_come_in_the_order_in_which_they_happened(store, alice):
    job = stored_job(store, alice)
    trial = a_trial(job)
    with store.write() as unit:
        unit.for_tenant(alice).set_target(job, JobTarget.STOPPED, 2.0)
        unit.control.add_trials([trial])
        unit.control.set_trial(dataclasses.replace(trial, status=TrialStatus.STOPPED, reason=SCRIPTS), 3.0)
        unit.control.set_job(dataclasses.replace(job, status=JobStatus.STOPPED), 4.0)
    with store.read() as unit:
        scope = unit.for_tenant(alice)
        events = scope.events(job.id, after=0, limit=100)
        assert [(e.kind, e.data["status"], e.at) for e in events] == [
            ("job", "created", 1.0),
            ("job", "created", 2.0),
            ("trial", "stopped", 3.0),
            ("job", "stopped", 4.0),
        ]
        assert events[1].data["target"] == "stopped"
        assert events[2].data["reason"] == SCRIPTS
        assert scope.events(job.id, after=events[1].id, limit=1) == [events[2]]


# -- trials


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("column", ["number", "value", "ended_at"])
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_pages_of_trials_are_complete_in_order_and_without_doubles(store, alice, column, descending, size):
    values = [0.5, None, -3.0, 0.5, 1e300, None, -0.0, 5e-324, 0.1 + 0.2, 0.5]
    job = stored_job(store, alice)
    trials = [a_trial(job, n, value=v, ended_at=v) for n, v in enumerate(values)]
    with store.write() as unit:
        unit.control.add_trials(trials)
    order, seen, after = TrialOrder(column=column, descending=descending), [], None
    with store.read() as unit:
        while page := unit.for_tenant(alice).trials(job.id, order=order, after=after, limit=size):
            assert len(page) <= size
            seen += [trial for trial, _ in page]
            after = page[-1][1]
    assert sorted(t.number for t in seen) == list(range(len(values)))
    keys = [getattr(t, column) for t in seen]
    known = [k for k in keys if k is not None]
    assert keys == known + [None] * (len(keys) - len(known))
    assert known == sorted(known, reverse=descending)
    if column != "number":
        assert [t.number for t in seen if t.value == 0.5] == [0, 3, 9]


def test_beyond_the_last_place_there_is_nothing_however_far(store, alice):
    job = stored_job(store, alice)
    with store.read() as unit:
        scope = unit.for_tenant(alice)
        assert scope.events(job.id, after=2**53 - 1, limit=9) == scope.points(job.id, after=2**63 - 1, limit=9) == []


def test_trials_are_filtered_by_status_and_found_by_number(store, alice):
    job, trials = with_trials(store, alice, values=[1.0, None, 2.0])
    with store.read() as unit:
        scope = unit.for_tenant(alice)
        page = scope.trials(job.id, order=TrialOrder(), after=None, limit=9, statuses=[TrialStatus.COMPLETED])
        assert [t for t, _ in page] == [trials[0], trials[2]]
        assert scope.trial(job.id, 1) == trials[1]
        with pytest.raises(NotFound):
            scope.trial(job.id, 3)
        assert scope.trial_counts([job.id, "job_none"]) == {
            job.id: {TrialStatus.COMPLETED: 2, TrialStatus.RUNNING: 1},
            "job_none": {},
        }


@pytest.mark.parametrize(("goal", "best"), [(Goal.MINIMIZE, [1, 3, 0]), (Goal.MAXIMIZE, [2, 0, 1])])
def test_the_best_trials_are_completed_and_the_earlier_of_equals_comes_first(store, alice, goal, best):
    job, _ = with_trials(store, alice, values=[2.0, -1.0, 3.0, -1.0])
    with store.write() as unit:
        unit.control.add_trials(
            [
                a_trial(job, 4, value=-9.0, status=TrialStatus.STOPPED),
                a_trial(job, 5, value=9.0, status=TrialStatus.STOPPED),
            ]
        )
    with store.read() as unit:
        assert [t.number for t in unit.for_tenant(alice).best_trials(job.id, goal, 3)] == best


@pytest.mark.parametrize(("goal", "best"), [(Goal.MINIMIZE, [3, 1, 4, 2, 0]), (Goal.MAXIMIZE, [1, 3, 4, 0, 2])])
def test_trials_beyond_the_limits_come_after_the_others_the_nearest_first(store, alice, goal, best):
    job = stored_job(store, alice)
    done = {"status": TrialStatus.COMPLETED}
    figures = [(1.0, 0.5), (3.0, 0.0), (-9.0, 0.5), (2.0, 0.0), (9.0, 0.25)]
    with store.write() as unit:
        unit.control.add_trials(
            [a_trial(job, i, value=value, violation=excess, **done) for i, (value, excess) in enumerate(figures)]
            + [a_trial(job, 5, status=TrialStatus.FAILED)]
        )
    order = TrialOrder(column="value", descending=goal is Goal.MAXIMIZE, feasible_first=True)
    with store.read() as unit:
        scope = unit.for_tenant(alice)
        for limit in range(1, 6):
            assert [t.number for t in scope.best_trials(job.id, goal, limit)] == best[:limit]
        assert [t.feasible for t in scope.best_trials(job.id, goal, 5)] == [True] * 2 + [False] * 3
        walked, after = [], None
        while page := scope.trials(job.id, order=order, after=after, limit=2):
            walked += [t.number for t, _ in page]
            after = page[-1][1]
        assert walked == [*best, 5]


def test_values_of_feasible_trials_are_read_once_each(store, alice, bob):
    job = stored_job(store, alice)
    made = [a_trial(job, i) for i in range(5)]

    def end(number, place, status=TrialStatus.COMPLETED, **changes):
        ended = dataclasses.replace(made[number], status=status, **changes)
        with store.write() as unit:
            unit.control.set_trial(ended, 9.0, settled=place)

    def read(after, who=alice):
        with store.read() as unit:
            found = unit.for_tenant(who).listing.feasible_values({job.id: after})[job.id]
            return list(found.values.items()), found.after

    with store.write() as unit:
        unit.control.add_trials(made)
    assert read(-1) == ([], -1)
    end(3, 0, values={"a": 1.0})
    end(0, 1, values={"a": 2.0}, violation=0.1)
    end(1, 2, TrialStatus.FAILED)
    assert read(-1) == ([(3, {"a": 1.0})], 2)
    assert read(-1, bob) == ([], -1)
    assert read(2) == ([], 2)
    end(4, 3, values={"a": 3.0})
    assert read(2) == ([(4, {"a": 3.0})], 3)
    with store.read() as unit:
        assert [t.number for t in unit.for_tenant(alice).numbered_trials(job.id, [4, 9, 0])] == [4, 0]
        assert unit.for_tenant(bob).numbered_trials(job.id, [4]) == []


def test_what_a_job_learned_of_earlier_ones_is_kept_with_it_alone(store, alice):
    learned = [
        Observation(number=-9, params={"lr": 0.1}, losses=(1.0, 2.0), violations=(-0.5,), job="job_old"),
        Observation(number=-1, params={"lr": 0.2, "o": LONG}, losses=None, job="job_older"),
    ]
    job = a_job(alice.tenant_id, warm_start_report=({"job": "job_old", "unused": {SCRIPTS: 3}},))
    with store.write() as unit:
        unit.for_tenant(alice).add_job(job, learned)
    with store.read() as unit:
        assert unit.for_tenant(alice).job(job.id) == job
        found = unit.control.warm_trials(job.id)
    assert found == [dataclasses.replace(o, number=n) for o, n in zip(learned, (-2, -1), strict=True)]
    with store.write() as unit:
        unit.control.delete_job(job.id)
    assert row_counts(store)["warm_trials"] == 0


def test_the_best_by_model_is_stored_alone_and_with_the_job(store, alice):
    job = stored_job(store, alice)
    known = dataclasses.replace(job, model_best_trial=3, model_best_value=0.5)
    later = dataclasses.replace(known, model_best_trial=4, status=JobStatus.RUNNING)
    with store.write() as unit:
        unit.control.set_model_best(known)
    with store.read() as unit:
        assert unit.control.job(job.id) == known
    with store.write() as unit:
        unit.control.set_job(later, 9.0)
    with store.read() as unit:
        assert unit.control.job(job.id) == later


def test_the_mean_time_is_that_of_completed_trials(store, alice):
    job, idle = stored_job(store, alice), stored_job(store, alice)
    done = {"status": TrialStatus.COMPLETED, "started_at": 10.0}
    with store.write() as unit:
        unit.control.add_trials(
            [
                a_trial(job, 0, ended_at=12.0, **done),
                a_trial(job, 1, ended_at=16.0, **done),
                a_trial(job, 2, status=TrialStatus.FAILED, started_at=0.0, ended_at=99.0),
            ]
        )
    with store.read() as unit:
        assert unit.for_tenant(alice).listing.mean_trial_seconds([job.id, idle.id]) == {job.id: 4.0}


def test_a_trials_metrics_keep_what_json_cannot_write(store, alice):
    job = stored_job(store, alice)
    metrics = {"loss": math.inf, "gain": -math.inf, "bad": math.nan, SCRIPTS: 0.1}
    with store.write() as unit:
        unit.control.add_trials([a_trial(job, metrics=metrics)])
    with store.read() as unit:
        read = unit.for_tenant(alice).trial(job.id, 0).metrics
    assert math.isnan(read.pop("bad"))
    assert read == {k: v for k, v in metrics.items() if k != "bad"}


# -- tasks and measurements


def with_task(store, principal):
    job = stored_job(store, principal, status=JobStatus.RUNNING)
    trial = a_trial(job)
    task = a_task(trial)
    with store.write() as unit:
        unit.control.add_trials([trial])
        unit.control.add_tasks([task])
    return job, trial, task


def test_measurements_are_stored_once_however_often_they_arrive_and_the_last_value_counts(store, alice):
    _, _, task = with_task(store, alice)
    first = Measurement(step=1, metric="loss", value=0.5, elapsed_s=1.0)
    other = Measurement(step=2, metric=LONG, value=math.inf, elapsed_s=2.0)
    nan = Measurement(step=-(2**63) + 1, metric="loss", value=math.nan, elapsed_s=3.0)
    again = dataclasses.replace(first, value=99.0)
    with store.write() as unit:
        unit.runner.report(task, (first, first, other), 10, 5.0)
    with store.write() as unit:
        unit.runner.report(unit.runner.task(task.id, lock=True), (again, other, nan), 5, 6.0)
    with store.read() as unit:
        scope = unit.for_tenant(alice)
        points = scope.measurements(task.id, metric=None, after=None, limit=99)
        assert points[1:] == [again, other]
        assert (points[0].step, math.isnan(points[0].value)) == (nan.step, True)
        assert scope.measurements(task.id, metric=None, after=(1, "loss"), limit=9) == [other]
        assert scope.measurements(task.id, metric="loss", after=None, limit=1)[0].step == nan.step
        assert unit.control.measurements(task.id)[1:] == [again, other]
        stored = unit.runner.task(task.id)
        assert (stored.log_bytes, stored.heartbeat_at) == (10, 6.0)


def test_withdrawn_metrics_go_before_what_the_report_brings(store, alice):
    _, _, task = with_task(store, alice)
    loss = [Measurement(step=step, metric="loss", value=0.5, elapsed_s=1.0) for step in range(3)]
    acc = Measurement(step=0, metric="acc", value=0.5, elapsed_s=1.0)
    _, _, stranger = with_task(store, alice)
    with store.write() as unit:
        unit.runner.report(task, (*loss, acc), 10, 5.0)
        unit.runner.report(stranger, (loss[0],), 10, 5.0)
    for _ in range(2):  # delivered twice
        with store.write() as unit:
            unit.runner.report(task, (loss[1],), 10, 6.0, withdrawn=["loss", "absent"])
    with store.read() as unit:
        assert unit.control.measurements(task.id) == [acc, loss[1]]
        assert unit.control.measurements(stranger.id) == [loss[0]]


def test_a_sign_of_life_is_not_taken_back_by_a_manager_whose_clock_lags(store, alice):
    _, _, task = with_task(store, alice)
    with store.write() as unit:
        unit.runner.report(task, (), 0, 500.0)
    with store.write() as unit:
        unit.runner.report(unit.runner.task(task.id), (), 0, 400.0)
        assert unit.runner.task(task.id).heartbeat_at == 500.0


def test_both_infinities_come_back(store, alice):
    _, _, task = with_task(store, alice)
    points = tuple(Measurement(step=i, metric="m", value=v, elapsed_s=0) for i, v in enumerate([math.inf, -math.inf]))
    with store.write() as unit:
        unit.runner.report(task, points, 0, 5.0)
        assert tuple(unit.control.measurements(task.id)) == points


def test_after_its_end_nothing_changes_a_task(store, alice):
    _, trial, task = with_task(store, alice)
    outcome = Outcome(status=TaskStatus.FAILED, reason=SCRIPTS, log_tail="x" * 20_000, exit_code=-9, elapsed_s=1.5)
    with store.write() as unit:
        unit.runner.end(task, outcome, 8.0)
        unit.runner.claim(dataclasses.replace(task, attempt=0, host="late"), "nonce", 9.0)
        unit.runner.end(task, Outcome(status=TaskStatus.STOPPED), 10.0)
    with store.read() as unit:
        [read] = unit.for_tenant(alice).tasks(trial.id)
    assert (read.status, read.outcome, read.ended_at, read.host) == (TaskStatus.FAILED, outcome, 8.0, "")


def test_whoever_is_another_tenant_sees_and_changes_nothing(store, alice, bob):
    job, trial, task = with_task(store, alice)
    with store.write() as unit:
        unit.for_tenant(alice).add_program(Program(digest="1" * 64, bytes=1, files=(), created_at=1.0))
        unit.runner.report(task, (Measurement(step=1, metric="m", value=1.0, elapsed_s=0.0),), 0, 1.0)
        done = dataclasses.replace(trial, status=TrialStatus.COMPLETED, value=1.0, ended_at=9.0)
        unit.control.set_trial(done, 9.0, settled=0)
        unit.runner.claim(dataclasses.replace(task, attempt=0), "n", 8.0)
    with store.read() as unit:
        mine, theirs = unit.for_tenant(alice), unit.for_tenant(bob)
        for see in (
            lambda s: s.program("1" * 64) is not None,
            lambda s: any(p.digest == "1" * 64 for p in s.programs(after="", limit=9)),
            lambda s: s.listing.jobs(JobQuery(), limit=9),
            lambda s: s.listing.counts(JobQuery()),
            lambda s: s.listing.best({job.id: Goal.MINIMIZE}),
            lambda s: any(used.cpu_hours for used in s.listing.usage([job.id], 9.0).values()),
            lambda s: s.trial_counts([job.id])[job.id],
            lambda s: s.listing.mean_trial_seconds([job.id]),
            lambda s: s.best_trials(job.id, Goal.MINIMIZE, 9),
            lambda s: s.numbered_trials(job.id, [0]),
            lambda s: s.listing.feasible_values({job.id: -1})[job.id].values,
            lambda s: s.trials(job.id, order=TrialOrder(), after=None, limit=9),
            lambda s: s.tasks(trial.id),
            lambda s: s.measurements(task.id, metric=None, after=None, limit=9),
            lambda s: s.events(job.id, after=0, limit=9),
        ):
            assert see(mine)
            assert not see(theirs)
        for find in (lambda s: s.job(job.id), lambda s: s.trial(job.id, 0)):
            assert find(mine)
            with pytest.raises(NotFound):
                find(theirs)
    with store.write() as unit, pytest.raises(NotFound):
        unit.for_tenant(bob).set_target(job, JobTarget.DELETED, 5.0)
    with store.read() as unit:
        assert unit.for_tenant(alice).job(job.id).target is JobTarget.RUNNING


def test_a_job_is_stored_for_the_tenant_whose_rows_these_are(store, alice, bob):
    job = a_job("tenant_a")
    with store.write() as unit:
        unit.for_tenant(bob).add_job(job)
        assert unit.for_tenant(bob).job(job.id).tenant_id == "tenant_b"
        with pytest.raises(NotFound):
            unit.for_tenant(alice).job(job.id)


def test_a_deleted_job_leaves_no_row(store, alice):
    before = row_counts(store)
    job, _, task = with_task(store, alice)
    with store.write() as unit:
        unit.runner.claim(dataclasses.replace(task, attempt=0), "n", 1.0)
        unit.runner.report(task, (Measurement(step=1, metric="m", value=1.0, elapsed_s=0.0),), 0, 1.0)
    between = row_counts(store)
    assert all(between[t] > before[t] for t in ("tuning_jobs", "trials", "tuning_tasks", "measurements", "events"))
    with store.write() as unit:
        unit.control.delete_job(job.id)
    assert row_counts(store) == before


# -- requests that may be sent twice


def test_a_second_request_with_the_same_key_gets_the_first_answer(store):
    with store.write() as unit:
        assert unit.idempotency.reserve("t", "k" * 200, "hash", 100.0) is None
        assert unit.idempotency.reserve("u", "k" * 200, "hash", 100.0) is None
    with store.write() as unit:
        begun = unit.idempotency.reserve("t", "k" * 200, "other", 101.0)
        assert (begun.request_hash, begun.status) == ("hash", 0)
        unit.idempotency.complete("t", "k" * 200, 201, SCRIPTS)
    with store.write() as unit:
        answer = unit.idempotency.reserve("t", "k" * 200, "hash", 102.0)
        assert (answer.status, answer.body) == (201, SCRIPTS)


def test_a_key_is_free_again_when_nothing_came_of_it_or_its_process_died_or_after_a_day(store):
    with store.write() as unit:
        reserve = unit.idempotency.reserve
        assert reserve("t", "dropped", "h", 100.0) is None
        unit.idempotency.drop("t", "dropped")
        assert reserve("t", "dropped", "h", 100.0) is None
        assert reserve("t", "died", "h", 100.0) is None
        assert reserve("t", "died", "h", 150.0) is not None
        assert reserve("t", "died", "h", 161.0) is None
        assert reserve("t", "old", "h", 100.0) is None
        unit.idempotency.complete("t", "old", 200, "")
        assert reserve("t", "old", "h", 80_000.0) is not None
        assert reserve("t", "old", "h", 90_000.0) is None


def test_a_program_goes_once_no_job_uses_it(store, alice, bob):
    job = stored_job(store, alice)
    digest = job.spec.program
    with store.write() as unit:
        unit.for_tenant(bob).add_program(Program(digest=digest, bytes=1, files=(), created_at=1.0))
    with pytest.raises(Conflict, match=job.id), store.write() as unit:
        unit.for_tenant(alice).delete_program(digest)
    with store.write() as unit:
        unit.for_tenant(bob).delete_program(digest)
    with store.read() as unit:
        assert unit.for_tenant(alice).program(digest) is not None
        assert unit.for_tenant(bob).program(digest) is None


def test_a_database_that_takes_no_changes_says_so_and_can_still_be_read(store, alice):
    job = stored_job(store, alice)
    read_only = {"sqlite": "PRAGMA query_only = ON", "postgresql": "SET default_transaction_read_only = on"}

    def forbid(connection, _record):
        connection.execute(read_only[store.engine.dialect.name])
        connection.commit()

    event.listen(store.engine, "connect", forbid)
    store.engine.dispose()
    with pytest.raises(TryAgain, match="no changes") as refused, store.write() as unit:
        unit.for_tenant(alice).set_target(job, JobTarget.STOPPED, 1.0)
    assert "read" in refused.value.detail
    with store.read() as unit:
        assert unit.for_tenant(alice).job(job.id).target is JobTarget.RUNNING
