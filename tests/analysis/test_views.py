"""Parameters, fronts and slots as columns."""

import itertools

import numpy as np
import orjson
import pytest

from tests.analysis.tables import a_row, a_table, a_task
from tuning_service.analysis.contour import contour
from tuning_service.analysis.importance import importance
from tuning_service.analysis.views import front_of, parallel, slice_of, slots
from tuning_service.domain.errors import InvalidRequest
from tuning_service.domain.job import Goal

SGD = {"lr": 0.1, "optimizer": "sgd", "momentum": 0.9, "seed": 7}
ADAM = {"lr": 0.01, "optimizer": "adam", "seed": 7}


def wide(count: int, parameters: int = 3) -> tuple:
    """Trials whose accuracy depends on x0, a little on x1, and not on the others."""
    space = {f"x{i}": {"type": "float", "min": 0.0, "max": 1.0} for i in range(parameters)}
    units = np.random.default_rng(1).random((count, parameters))
    rows = []
    for number, unit in enumerate(units.tolist()):
        value = 1 - unit[0] ** 2 - 0.1 * unit[min(1, parameters - 1)]
        rows.append(a_row(number, value, params={f"x{i}": u for i, u in enumerate(unit)}))
    return a_table(*rows, space=space), units


def test_parallel_columns_have_levels_and_holes() -> None:
    answer = parallel(
        a_table(a_row(0, 0.5, params=SGD), a_row(1, params=ADAM), a_row(2, status="running", ended_at=None))
    )
    assert answer["number"] == [0, 1]
    assert answer["parameters"] == [
        {"name": "lr", "kind": "log", "low": 1e-4, "high": 1.0, "values": [0.1, 0.01]},
        {"name": "optimizer", "kind": "categorical", "levels": ["sgd", "adam"], "values": [0, 1]},
        {"name": "momentum", "kind": "linear", "low": 0.0, "high": 1.0, "values": [0.9, None]},
    ]
    assert answer["objectives"] == [{"name": "accuracy", "goal": "maximize", "values": [0.5, None]}]
    assert answer["statuses"] == ["completed", "failed"]
    assert "one value are left out (1)" in answer["note"]


def test_axes_say_where_marks_belong() -> None:
    space = {
        "batch": {"type": "int", "min": 16, "max": 512, "scale": "pow2"},
        "depth": {"type": "int", "min": 1, "max": 8},
        "rate": {"type": "float", "min": 0.0, "max": 1.0},
    }
    answer = parallel(a_table(a_row(0, 0.5, params={"batch": 64, "depth": 2, "rate": 0.5}), space=space))
    found = {p["name"]: (p["kind"], p.get("marks")) for p in answer["parameters"]}
    assert found == {"batch": ("log", "powers of 2"), "depth": ("linear", "whole"), "rate": ("linear", None)}


def test_of_many_trials_the_best_and_the_newest_are_shown() -> None:
    table, _ = wide(10_000, parameters=10)
    answer = parallel(table)
    assert len(orjson.dumps(answer)) < 300_000
    shown = set(answer["number"])
    assert set(table.ranked()[:500].tolist()) <= shown
    assert {9999, 9998, 9997} <= shown
    assert "of 10,000 trials are shown" in answer["note"]


def test_true_and_one_are_different_levels() -> None:
    space = {"a": {"type": "categorical", "values": [1, True, "1"]}}
    rows = [a_row(i, 0.5, params={"a": v}) for i, v in enumerate([True, 1, "1"])]
    assert parallel(a_table(*rows, space=space))["parameters"][0]["values"] == [1, 0, 2]


def test_a_slice_leaves_out_trials_in_which_the_parameter_is_inactive() -> None:
    table = a_table(a_row(0, 0.5, params=SGD), a_row(1, 0.6, params=ADAM), a_row(2, params=SGD))
    answer = slice_of(table, "momentum", None)
    assert answer["columns"] == {"number": [0], "x": [0.9], "value": [0.5], "feasible": [True]}
    assert answer["note"] == "Left out: 1 trial in which momentum is inactive."
    with pytest.raises(InvalidRequest, match="no parameter of this job"):
        slice_of(table, "decay", None)


def dominated(points: list[tuple[float, ...]]) -> list[bool]:
    return [
        any(all(o <= p for o, p in zip(other, point, strict=True)) and other != point for other in points)
        for point in points
    ]


@pytest.mark.parametrize("objectives", [2, 3])
def test_the_front_is_what_nothing_dominates(objectives) -> None:
    names = ["accuracy", "ms", "bytes"][:objectives]
    goals = {"accuracy": Goal.MAXIMIZE, "ms": Goal.MINIMIZE, "bytes": Goal.MINIMIZE}
    rng = np.random.default_rng(objectives)
    values = rng.integers(0, 12, (200, objectives)).astype(float).tolist()
    rows = [a_row(i, v[0], values=dict(zip(names, v, strict=True))) for i, v in enumerate(values)]
    answer = front_of(a_table(*rows, goals={n: goals[n] for n in names}))
    losses = [(-v[0], *v[1:]) for v in values]
    assert answer["on_front"] == [not d for d in dominated(losses)]
    assert answer["front_size"] == sum(answer["on_front"])


def test_a_front_of_many_trials_is_kept_whole() -> None:
    names = {"accuracy": Goal.MINIMIZE, "ms": Goal.MINIMIZE}
    rows = [a_row(i, 1.0, values={"accuracy": i % 4 * 1e6 + i, "ms": float(-i)}) for i in range(10_000)]
    answer = front_of(a_table(*rows, goals=names))
    assert len(answer["number"]) == 5000
    assert sum(answer["on_front"]) == answer["front_size"] == 2503  # each fourth, and the three after the last of them
    assert len(orjson.dumps(answer)) < 300_000


def test_slots_say_who_ran_where_and_when() -> None:
    tasks = [a_task(1, 120.0, None), a_task(0, 110.0, 130.5, gpus=()), a_task(2, None, None)]
    answer = slots(tasks, 100.0, 160.0)
    assert answer["columns"] == {
        "trial": [0, 1],
        "task": [0, 0],
        "host": [0, 1],
        "gpus": [0, 1],
        "start": [10.0, 20.0],
        "end": [30.5, None],
        "status": [0, 1],
    }
    assert (answer["hosts"], answer["gpu_sets"]) == (["host-0", "host-1"], [[], ["0"]])
    assert answer["now"] == 60.0
    assert "1 execution that no executor has taken" in answer["note"]


def test_of_many_executions_some_are_shown_over_all_the_time() -> None:
    answer = slots([a_task(i, 100.0 + i, 105.0 + i) for i in range(12_000)], 100.0, 20_000.0)
    starts = answer["columns"]["start"]
    assert (len(starts), starts[0], starts[-1]) == (5000, 0.0, 11_999.0)
    assert max(np.diff(starts)) <= 3
    assert len(orjson.dumps(answer)) < 300_000


@pytest.mark.parametrize("method", ["ped-anova", "fanova"])
def test_the_parameter_that_decides_is_the_most_important(method) -> None:
    table, _ = wide(100)
    answer = importance(table, method, None)
    assert answer["columns"]["parameter"][:2] == ["x0", "x1"]
    assert answer["columns"]["importance"][0] > 0.6
    assert sum(answer["columns"]["importance"]) == pytest.approx(1.0, abs=1e-5)
    assert (answer["warning"], answer["trials"]) == ("", 100)


def test_fanova_uses_some_of_many_trials_always_the_same() -> None:
    table, _ = wide(210, parameters=1)
    answer = importance(table, "fanova", None)
    assert answer["trials"] == 200
    assert "200 of 210 completed trials were used" in answer["note"]
    assert importance(table, "fanova", None) == answer


@pytest.mark.parametrize("method", ["ped-anova", "fanova"])
def test_conditional_and_categorical_parameters_have_their_importance(method) -> None:
    rng = np.random.default_rng(4)
    rows = []
    for number in range(80):
        momentum = float(rng.random())
        params = {"lr": float(10 ** rng.uniform(-4, 0)), "optimizer": "sgd", "momentum": momentum, "seed": 7}
        value = momentum
        if number % 2:
            params = {"lr": params["lr"], "optimizer": "adam", "seed": 7}
            value = 0.1
        rows.append(a_row(number, value, params=params))
    answer = importance(a_table(*rows), method, None)
    found = dict(zip(answer["columns"]["parameter"], answer["columns"]["importance"], strict=True))
    assert found["lr"] < found["momentum"]
    assert set(found) == {"lr", "optimizer", "momentum"}
    assert answer["left_out"] == ["seed"]


def test_few_trials_are_warned_of_and_equal_values_explained() -> None:
    few, _ = wide(6)
    assert "6 completed trials are few for 3 parameters" in importance(few, "ped-anova", None)["warning"]
    same = a_table(*(a_row(i, 0.5, params=ADAM | {"lr": 0.01 * (i + 1)}) for i in range(30)))
    answer = importance(same, "ped-anova", None)
    assert answer["columns"] == {"parameter": [], "importance": []}
    assert "the same accuracy" in answer["note"]


def test_a_surface_is_near_the_function_where_trials_are_and_empty_elsewhere() -> None:
    space = {
        "lr": {"type": "float", "min": 1e-4, "max": 1.0, "scale": "log"},
        "x": {"type": "float", "min": 0.0, "max": 1.0},
    }
    rng = np.random.default_rng(2)
    points = [(float(10 ** rng.uniform(-4, -2)), float(rng.random())) for _ in range(120)]

    def accuracy(lr: float, x: float) -> float:
        return 1 - (np.log10(lr) + 3) ** 2 / 4 - (x - 0.4) ** 2

    table = a_table(
        *(a_row(i, accuracy(lr, x), params={"lr": lr, "x": x}) for i, (lr, x) in enumerate(points)), space=space
    )
    answer = contour(table, "lr", "x", None)
    grid = list(itertools.product(enumerate(answer["x"]["grid"]), enumerate(answer["y"]["grid"])))
    errors = [abs(answer["z"][r][c] - accuracy(lr, x)) for (c, lr), (r, x) in grid if lr < 0.008 and 0.05 < x < 0.95]
    assert np.mean(errors) < 0.03
    assert all(answer["z"][r][c] is None for (c, lr), (r, _) in grid if lr > 0.1)
    assert answer["x"]["grid"][0] == 1e-4
    assert len(answer["columns"]["number"]) == 120


def test_a_surface_over_categories_has_a_cell_for_each() -> None:
    rows = [
        a_row(i, 0.5 + 0.3 * (i % 2) + 0.001 * i, params={"lr": 10.0 ** -(i % 4), "optimizer": ["sgd", "adam"][i % 2]})
        for i in range(24)
    ]
    answer = contour(a_table(*rows), "optimizer", "lr", None)
    assert answer["x"]["grid"] == [0, 1]
    shown = [row for row in answer["z"] if None not in row]
    assert all(len(row) == 2 for row in answer["z"])
    assert shown == [] or all(adam > sgd for sgd, adam in shown)
    filled = [[row[c] for row in answer["z"] if row[c] is not None] for c in (0, 1)]
    assert min(filled[1]) > max(filled[0])


def test_a_diverged_trial_does_not_flatten_the_surface() -> None:
    table, _ = wide(60, parameters=2)
    worst = a_row(60, -1e6, params={"x0": 0.5, "x1": 0.5})
    answer = contour(
        a_table(*table.rows, worst, space={f"x{i}": {"type": "float", "min": 0.0, "max": 1.0} for i in (0, 1)}),
        "x0",
        "x1",
        None,
    )
    column = [row[0] for row in answer["z"] if row[0] is not None]
    assert min(column) > 0.6
    assert "count as that" in answer["note"]


NOTHING = [(), (a_row(0, status="running", ended_at=None),), (a_row(0), a_row(1, params=SGD)), (a_row(0, 0.5),)]
HARD = [
    tuple(a_row(i, 0.5) for i in range(30)),
    tuple(a_row(i, 0.5 + i, params=SGD) for i in range(3)),
    tuple(a_row(i, 1e308 * (-1) ** i, params=SGD | {"momentum": i / 30}) for i in range(30)),
    tuple(a_row(i, float("nan"), params=SGD) for i in range(5)),
]


@pytest.mark.parametrize("rows", [*NOTHING, *HARD])
def test_every_job_has_an_answer_to_everything(rows) -> None:
    table = a_table(*rows)
    for answer in (
        parallel(table),
        slice_of(table, "lr", None),
        contour(table, "lr", "momentum", None),
        contour(table, "optimizer", "seed", None),
        front_of(table),
        importance(table, "ped-anova", None),
        slots([], 100.0, 100.0),
    ):
        assert isinstance(answer["note"], str)
        orjson.dumps(answer)
    if not table.completed.any():
        assert importance(table, "fanova", None)["note"]
        assert contour(table, "lr", "momentum", None)["note"]
