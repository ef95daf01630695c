import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuning_service.compute.gpus import GpuPool
from tuning_service.domain.errors import TryAgain


def test_whole_gpus_are_held_by_one_alone():
    pool = GpuPool(["0", "1", "2"])
    given_out = pool.acquire(["a", "b"], 1)
    assert len({*given_out["a"], *given_out["b"]}) == 2
    with pytest.raises(TryAgain):
        pool.acquire(["c"], 2)
    pool.release("a")
    assert len(set(pool.acquire(["c"], 2)["c"])) == 2


def test_three_thirds_share_one_gpu_and_then_it_is_whole_again():
    pool = GpuPool(["0"])
    assert set(pool.acquire(["a", "b", "c"], 1 / 3).values()) == {("0",)}
    with pytest.raises(TryAgain):
        pool.acquire(["d"], 1 / 3)
    for handle in "abc":
        pool.release(handle)
    assert pool.acquire(["d"], 1) == {"d": ("0",)}


def test_fractions_gather_so_that_whole_gpus_stay_free():
    pool = GpuPool(["0", "1"])
    pool.acquire(["a"], 0.5)
    pool.acquire(["b"], 0.5)
    assert len(pool.acquire(["c"], 1)["c"]) == 1


def test_when_one_of_a_batch_cannot_be_served_none_holds_anything():
    pool = GpuPool(["0", "1"])
    with pytest.raises(TryAgain):
        pool.acquire(["a", "b", "c"], 1)
    assert len(pool.acquire(["d"], 2)["d"]) == 2


def test_tasks_without_gpus_get_none():
    assert GpuPool([]).acquire(["a"], 0) == {"a": ()}


@given(st.lists(st.tuples(st.sampled_from([0.25, 1 / 3, 0.5, 1.0, 2.0]), st.booleans()), max_size=30))
def test_no_gpu_is_ever_promised_more_than_once(steps):
    pool = GpuPool(["0", "1", "2"])
    held: dict[str, tuple[tuple[str, ...], float]] = {}
    for number, (amount, release) in enumerate(steps):
        if release and held:
            handle = next(iter(held))
            del held[handle]
            pool.release(handle)
            continue
        try:
            addresses = pool.acquire([str(number)], amount)[str(number)]
        except TryAgain:
            continue
        held[str(number)] = addresses, min(amount, 1.0)
        for gpu in ("0", "1", "2"):
            assert sum(share for given_out, share in held.values() if gpu in given_out) <= 1 + 1e-6
