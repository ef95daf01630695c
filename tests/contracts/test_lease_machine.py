"""Two controllers whose clocks jump, against a model of the lease: whoever writes for a job holds its newest epoch."""

import dataclasses
import itertools

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select

from tests.samples import a_tenant, stored_job
from tuning_service.domain.errors import LeaseLost
from tuning_service.domain.job import TuningJob
from tuning_service.storage.control import Lease
from tuning_service.storage.tables import tuning_jobs

LEASE = select(tuning_jobs.c.lease_owner, tuning_jobs.c.lease_epoch, tuning_jobs.c.lease_until)
TTL_S = 15.0
HOUR_S = 3600.0
WHO = ("one", "two")
OWNERS = st.sampled_from(WHO)
JOBS = st.integers(0, 1)


@dataclasses.dataclass
class Held:
    """The model of one job's lease."""

    epoch: int = 0
    owner: str | None = None
    until: float = 0.0
    writer: str = ""


def machine(store):
    """The machine's class, over an empty store."""
    runs = itertools.count()

    class LeaseMachine(RuleBasedStateMachine):
        @initialize()
        def begin(self):
            self.now = 1e9
            self.offset = dict.fromkeys(WHO, 0.0)
            # What each controller believes to hold, as `Reconciler` does: until a renewal or a fence says otherwise.
            self.believed: dict[str, dict[int, Lease]] = {who: {} for who in WHO}
            with store.write() as unit:
                unit.control.release_all()
            tenant = a_tenant(store, str(next(runs)))
            self.jobs: list[TuningJob | None] = [stored_job(store, tenant) for _ in range(2)]
            self.model = [Held(), Held()]

        def clock(self, who):
            return self.now + self.offset[who]

        # -- what happens to controllers

        @rule(seconds=st.sampled_from([0.1, TTL_S / 3, TTL_S, 10 * TTL_S]))
        def time_passes(self, seconds):
            self.now += seconds

        @rule(who=OWNERS, hours=st.sampled_from([-1, 0, 1]))
        def a_clock_jumps(self, who, hours):
            self.offset[who] = hours * HOUR_S

        @rule(who=OWNERS)
        def dies_and_comes_back(self, who):
            self.believed[who] = {}

        # -- what controllers do

        def look(self, who):
            mine = {lease.job_id for lease in self.believed[who].values()}
            known = {job.id for job in self.jobs if job}
            with store.read() as unit:
                due = unit.control.claimable_jobs(self.clock(who), held=mine)
            return [lease for lease in due if lease.job_id in known]

        def take(self, who, wanted):
            with store.write() as unit:
                taken = unit.control.claim_jobs(wanted, who, self.clock(who), TTL_S)
            for lease in taken:
                self.believed[who][self.place(lease)] = lease
            return taken

        def place(self, lease):
            return next(i for i, job in enumerate(self.jobs) if job and job.id == lease.job_id)

        def expect_taken(self, who, wanted, taken):
            free = [lease for lease in wanted if self.is_free(who, lease)]
            assert taken == free
            for lease in taken:
                held = self.model[self.place(lease)]
                held.epoch, held.owner, held.until = lease.epoch, who, self.clock(who) + TTL_S

        def is_free(self, who, lease):
            held = self.model[self.place(lease)]
            return lease.epoch == held.epoch + 1 and held.until <= self.clock(who)

        @rule(who=OWNERS)
        def claims(self, who):
            wanted = self.look(who)
            believed = set(self.believed[who])
            ours = [i for i, job in enumerate(self.jobs) if job and i not in believed]
            assert sorted(map(self.place, wanted)) == [i for i in ours if self.model[i].until <= self.clock(who)]
            self.expect_taken(who, wanted, self.take(who, wanted))

        @rule(first=OWNERS)
        def both_see_the_same_and_one_is_slower(self, first):
            second = WHO[1 - WHO.index(first)]
            seen = {who: self.look(who) for who in (first, second)}
            for who in (first, second):
                self.expect_taken(who, seen[who], self.take(who, seen[who]))

        def holds(self, who, i):
            return self.jobs[i] is not None and self.believed[who][i].epoch == self.model[i].epoch

        @rule(who=OWNERS)
        def renews(self, who):
            for i, lease in list(self.believed[who].items()):
                with store.write() as unit:
                    renewed = unit.control.renew(lease, self.clock(who), TTL_S)
                assert renewed == self.holds(who, i)
                if renewed:
                    self.model[i].until = self.clock(who) + TTL_S
                else:
                    del self.believed[who][i]

        @rule(who=OWNERS, i=JOBS)
        def writes(self, who, i):
            lease = self.believed[who].get(i)
            if lease is None:
                return
            text = f"{who} {lease.epoch}"
            may = self.holds(who, i)
            try:
                with store.write() as unit:
                    unit.control.fence(lease)
                    unit.control.set_job(dataclasses.replace(unit.control.job(lease.job_id), reason=text), self.now)
            except LeaseLost:
                assert not may
                del self.believed[who][i]
            else:
                assert may
                self.model[i].writer = text

        @rule(who=OWNERS, i=JOBS)
        def releases(self, who, i):
            lease = self.believed[who].pop(i, None)
            if lease is None:
                return
            with store.write() as unit:
                unit.control.release(lease)
            if self.jobs[i] and lease.epoch == self.model[i].epoch:
                self.model[i].owner, self.model[i].until = None, 0.0

        @precondition(lambda self: all(self.jobs))
        @rule(i=JOBS)
        def a_job_is_deleted(self, i):
            with store.write() as unit:
                unit.control.delete_job(self.jobs[i].id)
            self.jobs[i] = None

        # -- what holds

        @invariant()
        def the_store_is_as_the_model(self):
            with store.read() as unit:
                for job, held in zip(self.jobs, self.model, strict=True):
                    if job is not None:
                        assert unit.control.job(job.id).reason == held.writer
                        row = unit.control._connection.execute(LEASE.where(tuning_jobs.c.id == job.id)).one()
                        assert tuple(row) == (held.owner, held.epoch, held.until)

        @invariant()
        def one_at_most_may_write(self):
            for i in range(2):
                assert sum(i in self.believed[who] and self.holds(who, i) for who in WHO) <= 1

        def teardown(self):
            """Whoever's clock is right takes over what a dead one held, once that one's lease is over."""
            self.offset = dict.fromkeys(WHO, 0.0)
            self.believed = {who: {} for who in WHO}
            self.now = max([self.now, *(held.until for held in self.model)])
            self.claims("two")
            for i, job in enumerate(self.jobs):
                assert job is None or self.holds("two", i)

    return LeaseMachine


def test_leases_are_as_their_model_whatever_clocks_do(sqlite_store):
    run_state_machine_as_test(
        machine(sqlite_store),
        settings=settings(
            max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def test_leases_are_as_their_model_on_postgresql(postgres_store):
    run_state_machine_as_test(
        machine(postgres_store),
        settings=settings(
            max_examples=8, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
