import numpy as np

from tuning_service.domain.space import Space
from tuning_service.domain.trial import Observation
from tuning_service.search.transform import SpaceTransform
from tuning_service.search.warm_start import on_one_scale

SPACE = Space.from_dict({name: {"type": "float", "min": 0.0, "max": 1.0} for name in "xy"})
THERE = SpaceTransform(SPACE)


def trials(count, loss, job="", seed=0, within=1.0):
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        x, y = (rng.random(2) * within).tolist()
        found.append(Observation.of(number=number, params={"x": x, "y": y}, loss=loss(x, y)))
    return [Observation(number=o.number, params=o.params, losses=o.losses, job=job) for o in found]


def bowl(x, y):
    return (x - 0.3) ** 2 + (y - 0.3) ** 2


def losses_of(observations, job):
    return np.array([o.loss for o in observations if o.job == job and o.loss is not None])


def test_an_earlier_job_is_shifted_to_where_this_jobs_trials_say():
    # This job's trials lie in the good corner only, so their mean says nothing about the offset.
    own = trials(10, bowl, within=0.5)
    earlier = trials(80, lambda x, y: bowl(x, y) + 700, job="a", seed=1)
    aligned = on_one_scale([*earlier, *own], THERE)

    expected = np.array([bowl(*o.params.values()) for o in earlier])
    found = losses_of(aligned, "a")
    assert np.corrcoef(found, expected)[0, 1] > 0.999
    near = [i for i, o in enumerate(earlier) if max(o.params.values()) < 0.5]
    assert np.abs(np.median(found[near] - expected[near])) < 0.05
    assert aligned[80:] == own


def test_without_trials_of_its_own_earlier_jobs_get_one_scale():
    first = trials(50, bowl, job="a")
    second = trials(50, lambda x, y: 1000 * bowl(x, y) - 5, job="b")
    aligned = on_one_scale([*first, *second], THERE)

    np.testing.assert_allclose(losses_of(aligned, "a"), losses_of(aligned, "b"), atol=1e-9)


def test_nothing_changes_without_earlier_jobs():
    own = trials(5, bowl)
    assert on_one_scale(own, THERE) == own


def test_failures_several_objectives_and_equal_or_huge_losses_are_borne():
    huge = [
        Observation(number=i, params={"x": 0.1 * i, "y": 0.5}, losses=loss, job=job)
        for job in ("", "a", "b")
        for i, loss in enumerate([(1.0, 1e300), None, (1.0, -1e300), (1.0, 0.0), (1.0, 5.0), (1.0, 6.0)])
    ]
    aligned = on_one_scale(huge, THERE)

    assert [o.losses is None for o in aligned] == [o.losses is None for o in huge]
    assert all(np.isfinite(o.losses).all() for o in aligned if o.losses is not None)
