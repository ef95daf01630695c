"""Who gets the free slots."""

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from tuning_service.compute.base import Capacity, gpu_part
from tuning_service.control.shares import Demand, grant
from tuning_service.domain.job import Resources


def slots(count):
    return Capacity(cpus=count, gpus=0, largest_cpus=count, largest_gpus=0)


def demand(tenant="a", *, running=0, wanted=10, limit=1000, cpus=1, gpus=0.0, launched_at=0.0, **changes):
    resources = Resources(cpus=cpus, gpus=gpus)
    return Demand(
        tenant_id=tenant,
        resources=resources,
        running=running,
        wanted=wanted,
        tenant_limit=limit,
        launched_at=launched_at,
        **changes,
    )


def gpu_slots(count):
    return Capacity(cpus=count, gpus=count, largest_cpus=count, largest_gpus=count)


def played(demands, capacity, *, order=None):
    """The demands after each job, in `order`, has launched what it is granted."""
    now = dict(demands)
    for key in order or sorted(now):
        count, _ = grant(key, now, capacity)
        now[key] = dataclasses.replace(now[key], running=now[key].running + count, wanted=now[key].wanted - count)
    return now


def running(demands):
    return {key: d.running for key, d in demands.items()}


def test_a_tenant_alone_gets_everything():
    assert grant("j", {"j": demand(wanted=99)}, slots(8)) == (8, "")


def test_tenants_get_equal_parts_however_many_jobs_they_have():
    after = played({"a1": demand("a"), "b1": demand("b"), "b2": demand("b"), "b3": demand("b")}, slots(6))
    assert running(after) == {"a1": 3, "b1": 1, "b2": 1, "b3": 1}


def test_what_one_does_not_want_the_others_get():
    after = played({"a": demand("a", wanted=1), "b": demand("b"), "c": demand("c")}, slots(9))
    assert running(after) == {"a": 1, "b": 4, "c": 4}


def test_what_a_tenants_quota_forbids_the_others_get():
    after = played({"a": demand("a", limit=1), "b": demand("b")}, slots(4))
    assert running(after) == {"a": 1, "b": 3}


def test_no_slot_stays_free_for_rounding():
    after = played({key: demand(key) for key in "abc"}, slots(4))
    assert sum(running(after).values()) == 4


def test_nobody_starves_when_there_are_more_jobs_than_slots():
    now = {key: demand(key, wanted=1000) for key in "abcde"}
    ran, order = dict.fromkeys(now, 0), []
    for clock in range(1, 41):
        for key in sorted(now):
            count, _ = grant(key, now, slots(2))
            if count:
                ran[key] += count
                order += [key] * count
                now[key] = dataclasses.replace(now[key], running=now[key].running + count, launched_at=float(clock))
        # Each trial takes as long as any other, and the same jobs always ask first.
        ended = order.pop(0)
        now[ended] = dataclasses.replace(now[ended], running=now[ended].running - 1)
    assert min(ran.values()) >= max(ran.values()) - 1


def test_a_job_beyond_its_share_keeps_what_it_runs_and_is_not_refilled():
    now = {"old": demand("a", running=4), "new": demand("b", running=0)}
    assert grant("old", now, slots(4)) == (0, "Waits for free slots. Before it, 1 job goes.")
    now["old"] = dataclasses.replace(now["old"], running=3)
    assert grant("old", now, slots(4))[0] == 0
    assert grant("new", now, slots(4))[0] == 1


def test_a_large_trial_is_not_starved_by_small_ones():
    now = {"small": demand("a", running=4), "large": demand("b", cpus=4)}
    for left in (3, 2, 1):
        now["small"] = dataclasses.replace(now["small"], running=left)
        assert grant("small", now, slots(4))[0] == 0
    now["small"] = dataclasses.replace(now["small"], running=0)
    # Both have nothing now, and either may be first; the other one's turn comes next.
    assert sum(grant(key, now, slots(4))[0] for key in now) > 0


def mixed(cpus, gpus):
    return Capacity(cpus=cpus, gpus=gpus, largest_cpus=cpus, largest_gpus=gpus)


def test_cpus_beside_gpus_that_are_in_use_go_to_jobs_without_gpus():
    now = {"g": demand("a", gpus=1, running=2), "c": demand("b", wanted=20)}
    assert grant("c", now, mixed(16, 2)) == (14, "")
    assert grant("g", now, mixed(16, 2)) == (0, "Waits for free slots. Before it, 1 job goes.")
    # Nor do those who wait for a GPU hold any CPUs.
    waiting = {f"g{i}": demand("d", gpus=1, wanted=5) for i in range(5)}
    assert grant("c", now | waiting, mixed(16, 2)) == (14, "")
    alone = played({"g": demand("a", gpus=1), "c": demand("a", wanted=20)}, mixed(16, 2))
    assert running(alone) == {"g": 2, "c": 14}


def test_a_large_trial_with_gpus_is_starved_neither_of_gpus_nor_of_cpus():
    now = {"small": demand("a", gpus=0.5, running=2), "large": demand("b", gpus=2)}
    assert grant("small", now, mixed(8, 2)) == (0, "Waits for free slots. Before it, 1 job goes.")
    now = {"cpu": demand("a", running=6), "large": demand("b", cpus=4, gpus=1)}
    for left in (6, 5):
        now["cpu"] = dataclasses.replace(now["cpu"], running=left)
        assert grant("cpu", now, mixed(8, 2))[0] == 0
    now["cpu"] = dataclasses.replace(now["cpu"], running=4)
    assert grant("large", now, mixed(8, 2)) == (1, "")


def test_a_pool_with_fewer_gpus_than_are_held_goes_on_with_its_cpus():
    now = {"g": demand("a", gpus=1, running=4), "c": demand("b")}
    assert grant("c", now, mixed(8, 1)) == (4, "")


def test_whoever_waits_is_told_for_what():
    full = {"j": demand(running=4), "k": demand("b", running=0)}
    assert grant("k", full, slots(4)) == (0, "Waits for free slots. It is the next.")
    in_use = "Waits: the tenant's quota of 1 trial in parallel is in use."
    assert grant("j", {"j": demand(running=1, limit=1)}, slots(4)) == (0, in_use)
    assert grant("j", {"j": demand(limit=1, elsewhere=1)}, slots(4)) == (0, in_use)
    gpus = demand(gpus=1, running=1, tenant_gpus=1.5)
    assert grant("j", {"j": gpus}, gpu_slots(4)) == (0, "Waits: the tenant's quota of 1.5 GPUs is in use.")
    lowered = demand(gpus=2, tenant_gpus=1.0)
    told = "Waits: a trial takes 2 GPUs, and the tenant's quota is 1."
    assert grant("j", {"j": lowered}, gpu_slots(4)) == (0, told)
    assert grant("j", {"j": demand(used_up="no hours are left.")}, slots(4)) == (0, "Waits: no hours are left.")
    reason = grant("j", {"j": demand(gpus=2)}, slots(4))[1]
    assert reason == "Waits: no executor has 1 CPU and 2 GPUs for a trial."
    assert grant("j", {"j": demand()}, slots(0)) == (0, "Waits for executors.")
    assert grant("j", {"j": demand(wanted=0)}, slots(4)) == (0, "")


def test_tenants_get_slots_in_proportion_to_their_weights():
    after = played({"a": demand("a", wanted=99, weight=3), "b": demand("b", wanted=99)}, slots(8))
    assert running(after) == {"a": 6, "b": 2}


def test_a_weight_gives_nothing_to_whoever_wants_nothing():
    after = played({"a": demand("a", wanted=1, weight=100), "b": demand("b", wanted=99)}, slots(8))
    assert running(after) == {"a": 1, "b": 7}


def test_a_quota_of_gpus_holds_over_all_jobs_of_the_tenant_and_leaves_its_cpu_jobs_alone():
    demands = {
        "a1": demand("a", gpus=1, tenant_gpus=2),
        "a2": demand("a", gpus=0.5, tenant_gpus=2),
        "a3": demand("a", wanted=3, tenant_gpus=2),
        "b": demand("b", gpus=1, wanted=1),
    }
    after = running(played(demands, gpu_slots(8)))
    assert after["a1"] + 0.5 * after["a2"] <= 2
    assert after["a1"] + 0.5 * after["a2"] > 1
    assert after["a3"] == 3
    assert after["b"] == 1


def test_what_runs_elsewhere_counts_towards_a_quota_and_takes_no_slot_here():
    after = played({"a": demand("a", limit=5, elsewhere=3), "b": demand("b")}, slots(8))
    assert running(after) == {"a": 2, "b": 6}


def test_a_job_is_told_its_place():
    full = {f"j{i}": demand(running=2, wanted=5, launched_at=float(i)) for i in range(4)}
    places = [grant(f"j{i}", full, slots(8))[1] for i in range(4)]
    assert places == [
        "Waits for free slots. It is the next.",
        "Waits for free slots. Before it, 1 job goes.",
        "Waits for free slots. Before it, 2 jobs go.",
        "Waits for free slots. Before it, 3 jobs go.",
    ]


@st.composite
def pools(draw):
    weights = {tenant: draw(st.sampled_from([0.5, 1.0, 1.0, 3.0])) for tenant in "abc"}
    limits = {tenant: draw(st.integers(1, 12)) for tenant in "abc"}
    demands = {}
    for i in range(draw(st.integers(1, 6))):
        tenant = draw(st.sampled_from("abc"))
        demands[f"j{i}"] = demand(
            tenant,
            running=draw(st.integers(0, 4)),
            wanted=draw(st.integers(0, 12)),
            limit=limits[tenant],
            launched_at=draw(st.floats(0, 9)),
            weight=weights[tenant],
        )
    return demands, draw(st.integers(1, 16)), draw(st.permutations(sorted(demands)))


@given(pools())
def test_grants_are_within_all_limits_and_leave_nothing_useful_unused(pool):
    demands, total, order = pool
    after = played(demands, slots(total), order=order)
    used = sum(running(after).values())
    assert used <= max(total, sum(running(demands).values()))
    for key, now in after.items():
        assert demands[key].running <= now.running <= demands[key].running + demands[key].wanted
    of_tenant = {t: sum(d.running for d in after.values() if d.tenant_id == t) for t in "abc"}
    for tenant in "abc":
        mine = [key for key, d in demands.items() if d.tenant_id == tenant]
        before = sum(demands[key].running for key in mine)
        assert of_tenant[tenant] <= max(before, max((demands[k].tenant_limit for k in mine), default=0))
        could = [k for k in mine if after[k].wanted and of_tenant[tenant] < after[k].tenant_limit]
        assert not could or used >= total


@st.composite
def mixed_pools(draw):
    demands = {
        f"j{i}": demand(
            draw(st.sampled_from("abc")),
            running=draw(st.integers(0, 3)),
            wanted=draw(st.integers(0, 12)),
            cpus=draw(st.sampled_from([1, 1, 2, 4])),
            gpus=draw(st.sampled_from([0, 0, 0.3, 0.5, 1, 2])),
            launched_at=draw(st.floats(0, 9)),
        )
        for i in range(draw(st.integers(1, 6)))
    }
    return demands, mixed(draw(st.integers(4, 16)), draw(st.integers(2, 8))), draw(st.permutations(sorted(demands)))


@given(mixed_pools())
def test_no_more_is_granted_than_there_is_and_no_cpu_stays_free_that_a_job_of_one_could_use(pool):
    demands, total, order = pool
    after = played(demands, total, order=order)

    def cpus(held):
        return sum(d.running * d.resources.cpus for d in held.values())

    def gpus(held):
        return sum(d.running * gpu_part(d.resources) for d in held.values())

    assert cpus(after) <= max(total.cpus, cpus(demands))
    assert gpus(after) <= max(total.gpus, gpus(demands)) + 1e-6
    if all(d.resources.cpus == 1 for d in demands.values()):
        hungry = [d for d in after.values() if d.wanted and not d.resources.gpus]
        assert not hungry or cpus(after) >= total.cpus


@given(pools())
def test_nobody_is_given_a_slot_that_somebody_poorer_waits_for(pool):
    """Max-min fairness: taking from one who was given something cannot help one who has less and wants more."""
    demands, total, order = pool
    after = played(demands, slots(total), order=order)
    of_tenant = {t: sum(d.running for d in after.values() if d.tenant_id == t) for t in "abc"}
    given = [k for k in after if after[k].running > demands[k].running]
    waiting = [k for k, d in after.items() if d.wanted and of_tenant[d.tenant_id] < d.tenant_limit]
    for rich in given:
        for poor in waiting:
            mine, theirs = after[rich].tenant_id, after[poor].tenant_id
            if mine == theirs:
                assert after[rich].running <= after[poor].running + 1
            else:
                weight, poorer = after[rich].weight, after[poor].weight
                assert of_tenant[mine] - 1 <= of_tenant[theirs] / poorer * weight + 1e-9
