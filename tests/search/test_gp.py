"""The numerics of the Gaussian process, against slow and plain computations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime
from scipy.stats import norm

from tests.search.spaces import params_in, spaces
from tuning_service.domain.space import Space
from tuning_service.search.gp.acquisition import log_hypervolume_improvement, log_improvement, pareto_front
from tuning_service.search.gp.cube import Cube
from tuning_service.search.gp.history import chosen
from tuning_service.search.gp.model import Kernel, Layout, Posterior, Priors, Process, fit, prior_mean
from tuning_service.search.gp.outputs import OutputScale
from tuning_service.search.gp.surrogate import fitted_length
from tuning_service.search.transform import SpaceTransform

LAYOUT = Layout(groups=np.array([0, 1, 2, 2]), warped=np.array([True, True, False, False]))
PRIORS = Priors(lengths=np.zeros(3))
RNG = np.random.default_rng(4)
POINTS = np.hstack([RNG.random((30, 2)), np.sqrt(0.5) * np.eye(2)[RNG.integers(0, 2, 30)]])
TARGETS = np.sin(5 * POINTS[:, 0]) + POINTS[:, 1] ** 2 + POINTS[:, 2]


def test_the_gradient_is_that_of_the_posterior():
    posterior = Posterior(LAYOUT, PRIORS, POINTS, TARGETS)
    for seed in range(5):
        theta = np.random.default_rng(seed).normal(-0.5, 0.6, LAYOUT.size)
        numeric = approx_fprime(theta, lambda t: posterior(t)[0], 1e-6)
        assert posterior(theta)[1] == pytest.approx(numeric, rel=1e-3, abs=1e-3)


def test_prediction_is_that_of_the_textbook():
    kernel = Kernel(LAYOUT, np.random.default_rng(0).normal(-1, 0.3, LAYOUT.size))
    fresh = POINTS[20:] * 0.9
    mean, variance = Process(kernel, POINTS[:20], TARGETS[:20]).predict(fresh)

    known, cross = kernel.scaled(POINTS[:20]), kernel.between(kernel.scaled(fresh), kernel.scaled(POINTS[:20]))
    covariance = kernel.between(known, known) + kernel.noise * np.eye(20)
    assert mean == pytest.approx(cross @ np.linalg.solve(covariance, TARGETS[:20]), abs=1e-6)
    left = kernel.signal - np.einsum("ij,ji->i", cross, np.linalg.solve(covariance, cross.T))
    assert variance == pytest.approx(left, abs=1e-6)


def test_pending_points_count_as_ended_with_what_is_expected_of_them():
    kernel = Kernel(LAYOUT, np.full(LAYOUT.size, -0.7))
    process = Process(kernel, POINTS[:15], TARGETS[:15])
    believed = np.concatenate([TARGETS[:15], process.mean(POINTS[15:20])])
    whole = Process(kernel, POINTS[:20], believed)
    pending = process.believing(POINTS[15:17]).believing(POINTS[17:20])

    for told, expected in zip(pending.predict(POINTS[20:]), whole.predict(POINTS[20:]), strict=True):
        assert told == pytest.approx(expected, abs=1e-6)


def test_equal_points_with_different_targets_are_noise_and_no_error():
    points = np.repeat(POINTS[:5], 6, axis=0)
    targets = np.tile([1.0, -1.0], 15)
    theta = fit(LAYOUT, PRIORS, points, targets, prior_mean(LAYOUT, PRIORS))
    mean, variance = Process(Kernel(LAYOUT, theta), points, targets).predict(POINTS[:5])

    assert np.abs(mean).max() < 0.5
    assert np.isfinite(variance).all()


@pytest.mark.parametrize("z", [-2000.0, -30.0, -5.0, -1.0, -0.99, 0.0, 2.0, 30.0])
def test_improvement_is_precise_near_and_far(z):
    deviation = 0.3
    (found,) = log_improvement(np.array([1.0 - z * deviation]), np.array([deviation**2]), 1.0)

    if z > -20:
        assert found == pytest.approx(np.log(deviation * (z * norm.cdf(z) + norm.pdf(z))), rel=1e-6)
    else:  # asymptotically phi(z) / z^2
        assert found == pytest.approx(norm.logpdf(z) - 2 * np.log(-z) + np.log(deviation), rel=1e-3)


def test_hypervolume_improvement_is_the_mean_of_sampled_gains():
    front = np.array([[-0.9, -0.2], [-0.5, -0.6], [-0.1, -0.8]])
    mean, deviation = np.array([-0.6, -0.5]), np.array([0.2, 0.3])
    (found,) = log_hypervolume_improvement(
        [(mean[k : k + 1], deviation[k : k + 1] ** 2) for k in range(2)], front[[2, 0, 1]]
    )

    def area(points):
        grid = np.linspace(-2, 0, 201)[:-1] + 0.005
        return sum((points[points[:, 0] <= x, 1].min(initial=0.0) * -0.01) for x in grid)

    draws = np.random.default_rng(0).normal(mean, deviation, (1500, 2))
    gains = [area(np.vstack([front, d])) - area(front) for d in draws]
    assert np.exp(found) == pytest.approx(np.mean(gains), rel=0.1)


def test_what_lies_beyond_the_reference_point_takes_no_part_in_hypervolume():
    predicted = [(np.array([-0.6]), np.array([0.04])), (np.array([-0.5]), np.array([0.09]))]
    front, beyond = np.array([[-0.9, -0.2], [-0.5, -0.6]]), np.array([[-1.5, 0.3], [0.4, -1.5]])
    for inside in (front, front[:0]):
        assert log_hypervolume_improvement(predicted, np.vstack([beyond, inside])) == pytest.approx(
            log_hypervolume_improvement(predicted, inside), abs=1e-12
        )


def test_the_front_holds_what_nothing_dominates_once():
    values = np.array([[1.0, 5.0], [2.0, 2.0], [2.0, 2.0], [3.0, 3.0], [5.0, 1.0], [1.0, 6.0]])
    assert pareto_front(values).tolist() == [[1.0, 5.0], [2.0, 2.0], [5.0, 1.0]]


@pytest.mark.parametrize(
    "losses",
    [
        pytest.param([3.0, 1.0, 2.0, 8.0, 1e9], id="outlier"),
        pytest.param([1.0, 1.0, 1.0, 5.0, 7.0], id="half-equal"),
        pytest.param([1e300, -1e300, 0.0, 5e299], id="huge"),
        pytest.param([1e-300, 3e-300, 2e-300, 9e-300], id="tiny"),
    ],
)
def test_outputs_keep_their_order_and_can_be_read_back(losses):
    losses = np.array(losses)
    scale = OutputScale.of(losses)
    told = scale.forward(losses)

    assert (np.argsort(told, kind="stable") == np.argsort(losses, kind="stable")).all()
    assert np.abs(told).max() < 5
    assert [scale.inverse(v) for v in told] == pytest.approx(losses, rel=1e-6)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_snapped_points_are_configurations_with_the_same_activity(data):
    space = data.draw(spaces())
    transform = SpaceTransform(space)
    cube = Cube(transform)
    units = np.random.default_rng(data.draw(st.integers(0, 99))).random((8, len(transform.axes)))

    for point in cube.snap(units):
        read_back = transform.to_unit(transform.from_unit(point))
        assert (np.isnan(read_back) == np.isnan(point)).all()
        assert read_back == pytest.approx(point, abs=1e-9, nan_ok=True)


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_snapping_leaves_configurations_as_they_are(data):
    space = data.draw(spaces(finite=True))
    point = SpaceTransform(space).to_unit(data.draw(params_in(space)))

    assert Cube(SpaceTransform(space)).snap(point[None])[0] == pytest.approx(point, abs=1e-12, nan_ok=True)


def test_features_of_categories_are_one_apart_and_inactive_ones_agree():
    space = Space.from_dict(
        {
            "kind": {"type": "categorical", "values": ["a", "b", "c"]},
            "x": {"type": "float", "min": 0.0, "max": 1.0, "when": {"kind": ["c"]}},
            "fixed": {"type": "fixed", "value": 3},
        }
    )
    cube = Cube(SpaceTransform(space))
    features = cube.features(cube.snap(np.array([[0.1, 0.9, 0.5], [0.5, 0.2, 0.5], [0.1, 0.3, 0.5]])))

    assert ((features[0] - features[1]) ** 2).sum() == pytest.approx(1.0)
    assert (features[0] == features[2]).all()


def test_of_a_long_history_the_best_the_last_and_some_others_are_kept():
    losses = np.random.default_rng(0).random(1000)
    kept = chosen(losses, np.ones(1000, dtype=bool), 100)

    assert len(kept) == 100
    assert set(np.argsort(losses)[:50]) <= set(kept)
    assert set(range(990, 1000)) <= set(kept)
    assert (kept[:40] < 600).all()


def test_an_earlier_job_does_not_push_out_the_present_one():
    own = np.arange(1000) >= 900
    kept = chosen(np.random.default_rng(0).random(1000), own, 100)

    assert own[kept].sum() == 50


def test_hyper_parameters_are_fitted_ever_more_rarely():
    lengths = [fitted_length(n) for n in range(1, 6000)]

    assert lengths[:39] == list(range(1, 40))
    assert len(set(lengths)) < 400
    assert all(n - length <= n / 20 for n, length in enumerate(lengths, start=1))


def test_the_values_of_a_long_list_are_about_equally_far_apart_in_few_columns():
    listed = {"type": "categorical", "values": [f"v{i}" for i in range(5000)], "when": {"on": [True]}}
    space = Space.from_dict({"on": {"type": "bool"}, "x": listed})
    cube = Cube(SpaceTransform(space))
    configurations = [{"on": True, "x": f"v{i}"} for i in (0, 1, 2, 2499, 4998, 4999)] * 2 + [{"on": False}]
    features = cube.features(cube.snap(np.array([cube.transform.to_unit(c) for c in configurations])))
    assert features.shape[1] < 200
    distances = ((features[:, None] - features) ** 2).sum(axis=2)
    values = distances[:6, :6]
    assert values[~np.eye(6, dtype=bool)] == pytest.approx(1.0, abs=0.4)
    assert (distances[:6, 6:12].diagonal() == 0).all()  # the same value again
    assert np.isfinite(distances).all()
