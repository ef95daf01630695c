import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tuning_service.domain import pareto
from tuning_service.domain.trial import Observation
from tuning_service.search.ranking import best_first, crowding, front, ranks


def observations(*losses, violations=None):
    return [
        Observation(
            number=i, params={}, losses=None if loss is None else tuple(loss), violations=(violations or {}).get(i, ())
        )
        for i, loss in enumerate(losses)
    ]


def dominates(a, b):
    return all(x <= y for x, y in zip(a, b, strict=True)) and a != b


@given(
    st.integers(1, 4).flatmap(
        lambda m: st.lists(st.tuples(*[st.integers(0, 4).map(float) | st.just(-0.0)] * m), min_size=1, max_size=30)
    )
)
def test_the_front_is_who_nobody_dominates(losses):
    expected = [i for i, a in enumerate(losses) if not any(dominates(b, a) for b in losses)]
    assert front(np.array(losses)).tolist() == expected
    # What users are shown, which is reckoned without numpy, is what algorithms are guided by.
    assert sorted(pareto.front(losses)) == expected


@given(st.lists(st.tuples(*[st.integers(0, 4).map(float)] * 3), min_size=1, max_size=25), st.integers(1, 25))
def test_whoever_dominates_comes_first(losses, most):
    for limit, upto in ((None, len(losses)), (most, most)):
        order = best_first(observations(*losses), limit)
        assert sorted(order) == list(range(len(losses)))
        for place, i in enumerate(order[:upto]):
            assert not any(dominates(losses[j], losses[i]) for j in order[place + 1 :])


def test_feasible_before_infeasible_before_failed_and_infeasible_by_how_much():
    known = observations(
        (9.0,), None, (0.0,), (1.0,), (5.0,), violations={0: (-1.0, -1.0), 2: (50.0, -1.0), 3: (-1.0, 0.001), 4: (0.0,)}
    )
    assert best_first(known[:4]) == [0, 2, 3, 1]  # each limit is measured by its own violations
    worse = observations((0.0,), (0.0,), (0.0,), violations={0: (3.0,), 1: (1.0,), 2: (2.0,)})
    assert best_first(worse) == [1, 2, 0]
    assert ranks(worse).tolist() == [2, 0, 1]


def test_with_one_objective_the_order_is_that_of_the_losses_and_of_age():
    assert best_first(observations((2.0,), (1.0,), None, (1.0,), (-1e300,))) == [4, 1, 3, 0, 2]


def test_who_stands_alone_in_a_front_comes_first():
    known = observations((0.0, 10.0), (1.0, 9.0), (1.1, 8.9), (5.0, 5.0), (9.0, 1.0), (10.0, 0.0))
    assert set(best_first(known)[:2]) == {0, 5}
    assert best_first(known)[2] == 3
    assert best_first(known)[-1] == 1


def test_huge_and_equal_losses_have_a_crowding():
    assert crowding(np.array([[1.7e308, -1.7e308], [0.0, 0.0], [-1.7e308, 1.7e308]]))[1] == 2 * 2 / 2
    assert (crowding(np.array([[1.0, 1.0]] * 3)) >= 0).all()
