import numpy as np

from tuning_service.domain.job import Goal, Objective
from tuning_service.domain.space import Space
from tuning_service.search.base import PendingTrial
from tuning_service.search.sobol import Sobol, SobolOptions

OBJECTIVES = (Objective(metric="loss", goal=Goal.MINIMIZE),)
SQUARE = {name: {"type": "float", "min": 0.0, "max": 1.0} for name in "xy"}


def build(space, seed=3):
    return Sobol(space, OBJECTIVES, SobolOptions(), seed)


def drawn(algorithm, count, first=0):
    running = [PendingTrial(number=first - 1, params={"x": -1.0, "y": -1.0})] if first else []
    return [dict(s.params) for s in algorithm.suggest(count, running)]


def cells(points, width):
    return {tuple((np.array(list(p.values())) * width).astype(int)) for p in points}


def test_points_are_spread_evenly():
    for seed in range(5):
        # Of 64 scrambled Sobol points in two dimensions each cell of an 8 x 8 grid holds one.
        assert len(cells(drawn(build(Space.from_dict(SQUARE), seed), 64), 8)) == 64


def test_a_point_depends_on_seed_and_trial_number_alone():
    space = Space.from_dict(SQUARE)
    whole = drawn(build(space), 40)
    jumping = build(space)

    assert drawn(jumping, 5, first=30) == whole[30:35]
    assert drawn(jumping, 3, first=7) == whole[7:10]
    assert drawn(jumping, 2, first=1_000_000) == drawn(build(space), 2, first=1_000_000)


def test_with_constraints_the_points_that_they_allow_come_in_order():
    triangle = Space.from_dict(SQUARE, ["x + y <= 0.5"])
    allowed = [p for p in drawn(build(Space.from_dict(SQUARE)), 512) if p["x"] + p["y"] <= 0.5]
    algorithm = build(triangle)

    assert drawn(algorithm, 40) == allowed[:40]
    assert drawn(algorithm, 3, first=20) == allowed[20:23]


def test_a_sliver_that_hardly_any_point_hits_is_drawn_at_random():
    sliver = Space.from_dict(SQUARE, ["abs(x - y) < 0.00001"])
    found = drawn(build(sliver), 4)

    assert all(abs(p["x"] - p["y"]) < 0.00001 for p in found)
    assert drawn(build(sliver), 4) == found
