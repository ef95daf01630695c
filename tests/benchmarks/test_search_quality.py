import importlib.util
import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.search_quality.__main__ import done, ordered
from benchmarks.search_quality.cell import Cell, Metered
from benchmarks.search_quality.ours import contenders
from benchmarks.search_quality.peer_child import PeerChild, PeerFailed, PeerTooSlow
from benchmarks.search_quality.report import markdown, summarise
from benchmarks.search_quality.searcher import PEERS, Contender, Params, Pending, Searcher, Setup
from benchmarks.search_quality.simulate import run
from benchmarks.search_quality.stats import Results, estimate, ranks, ratio, regret_curve
from benchmarks.search_quality.tasks import Reference, Task, search_reference
from benchmarks.search_quality.timing import Plan, measure
from tuning_service.domain.space import Space

ROOT = Path(__file__).parents[2]
SPACE: dict[str, dict[str, Any]] = {
    "kind": {"type": "categorical", "values": ["flat", "deep"]},
    "rate": {"type": "float", "min": 1e-4, "max": 1.0, "scale": "log"},
    "width": {"type": "int", "min": 4, "max": 512, "scale": "log"},
    "depth": {"type": "int", "min": 1, "max": 9, "scale": "linear", "when": {"kind": ["deep"]}},
}
CONFIG = {
    "hyperparameters": [
        {"name": "OpenML_task_id", "type": "categorical", "choices": ["7", "8"]},
        {"name": "epoch", "type": "uniform_int", "log": False, "lower": 1, "upper": 52},
        {"name": "a.depth", "type": "uniform_int", "log": False, "lower": 1, "upper": 5},
        {"name": "rate", "type": "uniform_float", "log": True, "lower": 0.001, "upper": 0.1},
        {"name": "kind", "type": "categorical", "choices": ["flat", "deep"]},
    ],
    "conditions": [{"child": "a.depth", "parent": "kind", "type": "EQ", "value": "deep"}],
}


def loss_of(params: Mapping[str, Any]) -> float:
    return (math.log10(params["rate"]) + 2) ** 2 + abs(params.get("depth", 7) - 5) + (params["kind"] == "flat")


def setup(seed: int = 0) -> Setup:
    return Setup(space=SPACE, seed=seed, evaluations=20)


def installed(contender: Contender) -> bool:
    needed = {"optuna": "optuna", "smac": "smac", "botorch": "botorch", "torch": "torch"}
    return all(importlib.util.find_spec(needed[p]) for p in contender.packages if p in needed)


@pytest.mark.parametrize("name", ["tpe", "bayesian", *PEERS])
def test_a_searcher_keeps_to_the_space_with_results_in_any_order(name: str) -> None:
    contender = contenders()[name]
    if not installed(contender):
        pytest.skip(f"{name} is not installed here")
    space = Space.from_dict(SPACE)
    child = PeerChild(contender, Setup(space=SPACE, seed=3, evaluations=20, name=name))
    try:
        asked: list[Params] = []
        for _ in range(5):
            asked += [child.ask(), child.ask(), child.ask()]
            for params in asked[-3:]:
                space.check(params)
                assert {type(v) for v in params.values()} <= {int, float, str}
            child.tell(asked[-1], loss_of(asked[-1]))
            child.tell(asked[-3], loss_of(asked[-3]))
            child.tell(asked[-2], loss_of(asked[-2]))
        assert child.cpu_s > 0
        assert all(child.versions.values())
    finally:
        child.close()


@pytest.mark.parametrize("name", ["tpe", "hyperopt", "optuna-tpe", "skopt"])
def test_a_searcher_learns_from_a_history_that_it_did_not_ask_for(name: str) -> None:
    contender = contenders()[name]
    if not installed(contender):
        pytest.skip(f"{name} is not installed here")
    uniform = PEERS["random"].build(setup())
    history = [(params, loss_of(params)) for params in (uniform.ask() for _ in range(60))]
    child = PeerChild(contender, Setup(space=SPACE, seed=3, evaluations=20, name=name))
    try:
        child.learn(history)
        found = []
        for _ in range(6):
            params = child.ask()
            found.append(loss_of(params))
            child.tell(params, found[-1])
    finally:
        child.close()
    assert np.median(found) < np.quantile([loss for _, loss in history], 0.35)


def test_a_child_that_fails_says_why() -> None:
    broken = Contender(name="none", title="none", module="benchmarks.no_such_module", packages=())
    with pytest.raises(PeerFailed, match="no_such_module"):
        PeerChild(broken, setup())


def test_a_child_is_not_waited_for_beyond_its_time() -> None:
    child = PeerChild(contenders()["tpe"], Setup(space=SPACE, seed=0, evaluations=20, name="tpe"))
    with pytest.raises(PeerTooSlow):
        child.learn([], timeout_s=0.0)
    child.close()


def test_equal_configurations_give_back_the_handles_in_order() -> None:
    pending: Pending[int] = Pending()
    pending.put({"x": 1}, 10)
    pending.put({"x": 1}, 11)
    pending.put({"x": 2}, 12)
    assert pending.all() == [10, 11, 12]
    assert [pending.take({"x": 1}), pending.take({"x": 2}), pending.take({"x": 1})] == [10, 12, 11]


class Scripted(Searcher):
    """Asks 0, 1, 2 …, and notes what it is told and how many were pending."""

    def __init__(self) -> None:
        self.asked = 0
        self.told: list[int] = []
        self.pending: list[int] = []

    def ask(self) -> Params:
        self.pending.append(self.asked - len(self.told))
        self.asked += 1
        return {"x": self.asked - 1}

    def tell(self, params: Params, loss: float) -> None:
        assert loss == 10.0 * params["x"]
        self.told.append(params["x"])

    def learn(self, history: Any) -> None:
        raise NotImplementedError


def test_results_come_in_order_of_their_virtual_end_and_a_freed_worker_asks_at_once() -> None:
    seconds = [5.0, 1.0, 3.0, 1.0, 1.0]  # two workers: 1 ends at 1, 2 at 4, 0 at 5, 3 at 5 (began later), 4 at 6
    scripted = Scripted()
    trace = run(Metered(scripted), lambda p: (10.0 * p["x"], seconds[p["x"]]), evaluations=5, workers=2)
    assert scripted.told == trace.numbers == [1, 2, 0, 3, 4]
    assert trace.finished == [1.0, 4.0, 5.0, 5.0, 6.0]
    assert trace.losses == [10.0, 20.0, 0.0, 30.0, 40.0]
    assert scripted.pending == [0, 1, 1, 1, 1]
    assert len(trace.ask_cpu_s) == len(trace.ask_wall_s) == 5


def test_one_worker_is_told_each_result_before_it_asks_again() -> None:
    scripted = Scripted()
    trace = run(Metered(scripted), lambda p: (10.0 * p["x"], 2.0), evaluations=4, workers=1)
    assert scripted.pending == [0, 0, 0, 0]
    assert trace.finished == [2.0, 4.0, 6.0, 8.0]


def test_cells_go_seed_by_seed_and_in_the_searchers_order_within_one() -> None:
    cells = ordered(["a", "b"], ["cheap", "dear"], range(2), [1, 8], 10)
    assert [c.seed for c in cells] == [0] * 8 + [1] * 8
    assert [c.searcher for c in cells[:8]] == ["cheap"] * 4 + ["dear"] * 4
    assert len({c.key for c in cells}) == 16
    assert cells[0].searcher_seed == cells[4].searcher_seed != cells[1].searcher_seed


def _line(searcher: str, losses: list[float], seed: int = 0, workers: int = 1, **more: Any) -> dict[str, Any]:
    cell = Cell(searcher=searcher, task="lcbench:7", seed=seed, workers=workers, evaluations=len(losses))
    return asdict(cell) | {
        "key": cell.key,
        "losses": losses,
        "reference": {"best": 0.1, "middling": 0.6},
        "ask_wall_s": [0.2] * len(losses),
        "ask_cpu_s": [0.1] * len(losses),
        "versions": {"numpy": "2"},
        "machine": {"cpus": 2, "system": "Linux", "python": "3.11"},
        **more,
    }


def test_regret_is_of_the_best_so_far_between_the_reference_and_the_middling() -> None:
    assert regret_curve([0.6, 0.7, 0.35, 0.05], {"best": 0.1, "middling": 0.6}) == pytest.approx([1.0, 1.0, 0.5, -0.1])
    assert Reference(best=0.1, middling=0.6).regret(0.35) == pytest.approx(0.5)


def test_equals_share_a_rank() -> None:
    ranked = ranks([np.array([0.1, 0.5]), np.array([0.1, 0.2]), np.array([0.3, 0.9])])
    assert ranked.tolist() == [[1.5, 2.0], [1.5, 1.0], [3.0, 3.0]]


def test_an_interval_holds_the_mean_and_narrows_with_more_cells() -> None:
    few, many = estimate(np.arange(8) % 2 * 1.0), estimate(np.arange(200) % 2 * 1.0)
    assert few.mean == many.mean == 0.5
    assert few.low < many.low < 0.5 < many.high < few.high
    same = ratio(np.array([0.2, 0.4, 0.9]), np.array([0.1, 0.2, 0.45]))
    assert (same.mean, same.low, same.high) == pytest.approx((2.0, 2.0, 2.0))


def test_the_report_compares_over_the_cells_that_all_have() -> None:
    good, bad = [0.2] * 50, [0.5] * 50
    lines = [_line("tpe", good, seed=s) for s in range(3)] + [_line("random", bad, seed=s) for s in (0, 1, 5)]
    lines += [_line("tpe", bad, seed=s, workers=8) for s in (0, 2)]
    figures = summarise(Results(lines), None, [1, 8])
    alone = figures["settings"][0]["groups"]["all"]
    assert alone["cells"] == 2
    assert alone["searchers"]["tpe"]["regret"]["50"]["mean"] == pytest.approx(0.2)
    assert alone["searchers"]["tpe"]["rank"]["25"]["mean"] == 1.0
    assert alone["searchers"]["random"]["rank"]["25"]["mean"] == 2.0
    assert "100" not in alone["searchers"]["tpe"]["regret"]
    assert figures["parallel"]["tpe"]["ratio"]["50"]["mean"] == pytest.approx(4.0)
    assert figures["parallel"]["tpe"]["cells"] == 2
    text = markdown(figures)
    assert "2 cells (1 tasks, 2 seeds)" in text
    assert text.index("**tpe (ours)**") < text.index("| random |")


def test_what_many_workers_cost_is_told_apart_from_what_late_results_cost() -> None:
    slow = [0.5] * 20 + [0.3] * 30  # regret 0.8, from the 21st evaluation on 0.4
    lines = [_line("tpe", slow), _line("tpe", [0.5] * 50, workers=8)]
    found = summarise(Results(lines), None, [1, 8])["parallel"]["tpe"]
    assert {n: found["ratio"][n]["mean"] for n in ("25", "50")} == pytest.approx({"25": 2.0, "50": 2.0})
    assert {n: found["delay"][n]["mean"] for n in ("25", "50")} == pytest.approx({"25": 2.0, "50": 1.0})


def test_plots_are_drawn_for_each_setting(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    lines = [
        _line(n, [0.4, 0.3, 0.2] * 9, seed=s, workers=w) for n in ("auto", "random") for s in (0, 1) for w in (1, 8)
    ]
    (tmp_path / "cells.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    command = [sys.executable, "-m", "benchmarks.search_quality.report", str(tmp_path / "cells.jsonl")]
    command += ["--out-dir", str(tmp_path / "images"), "--json", str(tmp_path / "figures.json")]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    drawn = {path.name for path in (tmp_path / "images").iterdir()}
    kinds = ("regret_1", "regret_8", "ranks_1", "ranks_8", "time")
    assert drawn == {f"search_quality_{kind}.png" for kind in kinds}
    assert len(json.loads((tmp_path / "figures.json").read_text("utf-8"))["settings"]) == 2


def test_a_failure_is_told_until_the_cell_has_run() -> None:
    failed = {"searcher": "tpe", "task": "lcbench:7", "seed": 0, "workers": 1, "error": "Traceback\nValueError: no"}
    assert Results([failed]).failed == {"tpe lcbench:7 seed 0 workers 1": "ValueError: no"}
    again = Results([failed, _line("tpe", [0.2])])
    assert again.failed == {}
    assert len(again.cells["tpe", 1]) == 1


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with everything but the model."""
    folder = tmp_path / "data" / "lcbench"
    folder.mkdir(parents=True)
    (folder / "config_space.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    (folder / "encoding.json").write_text(json.dumps({"OpenML_task_id": {"#na#": 0, "7": 1}}), encoding="utf-8")
    (folder.parent / "ref_lcbench_7.json").write_text(
        json.dumps({"best": 0.1, "q": {"50": 0.6}, "n": 3}), encoding="utf-8"
    )
    return folder.parent


def test_a_task_is_a_space_without_its_fidelity_and_with_parents_first(data: Path) -> None:
    task = Task("lcbench:7", data)
    assert list(task.space) == ["rate", "kind", "a_depth"]
    assert task.space["a_depth"] == {"type": "int", "min": 1, "max": 5, "scale": "linear", "when": {"kind": ["deep"]}}
    assert task.reference(data) == Reference(best=0.1, middling=0.6)
    with pytest.raises(ValueError, match="no such data set"):
        Task("lcbench:99", data)
    with pytest.raises(ValueError, match="scenario"):
        Task("mnist:7", data)


def test_a_reference_is_the_best_of_a_search_that_goes_on_from_random_draws() -> None:
    class Synthetic:
        space = SPACE

        def query(self, configurations: Any) -> tuple[Any, Any]:
            return np.array([loss_of(p) for p in configurations]), np.ones(len(configurations))

    best, arg, losses = search_reference(Synthetic(), draws=200)  # type: ignore[arg-type]
    assert len(losses) == 200
    assert best == loss_of(arg) < losses.min()
    assert best < 1e-4


def _command(data: Path, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.search_quality", "--data", str(data), "--out", str(out)]
    command += ["--tasks", "lcbench:7", "--seeds", "2", "--workers", "1", "--evaluations", "3", *more]
    return subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=120)


def test_resuming_keeps_the_cells_that_are_there_and_tries_failed_ones_again(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "cells.jsonl"
    kept = json.dumps(_line("random", [0.2, 0.3, 0.4]))
    half_written = '{"searcher": "ran'
    out.write_text(f"{kept}\n{half_written}", encoding="utf-8")
    refused = _command(data, out, "--searchers", "random")
    assert refused.returncode == 2
    assert "--resume" in refused.stderr
    ran = _command(data, out, "--searchers", "random", "no-such", "--resume")
    assert ran.returncode == 1, ran.stderr  # seed 1 fails, for want of the model
    assert "no-such: skipped" in ran.stderr
    assert "1 cells are there, 1 to run" in ran.stderr
    lines = out.read_text(encoding="utf-8").splitlines()
    assert lines[:2] == [kept, half_written]
    (failed,) = map(json.loads, lines[2:])
    assert (failed["searcher"], failed["seed"], failed["task"]) == ("random", 1, "lcbench:7")
    assert "Traceback" in failed["error"]
    assert done(out) == {json.loads(kept)["key"]}


def test_a_searcher_too_slow_for_one_history_is_not_asked_with_a_longer_one() -> None:
    class Synthetic:
        space = SPACE

        def evaluate(self, params: Params) -> tuple[float, float]:
            return loss_of(params), 1.0

    uniform = PEERS["random"].build(setup())
    history = [(params, loss_of(params)) for params in (uniform.ask() for _ in range(30))]
    plan = Plan(task=Synthetic(), history=history, behind=(10, 30), suggestions=3, cap_s=30.0)  # type: ignore[arg-type]
    found = measure(contenders()["tpe"], sys.executable, plan)
    assert found["30"]["cpu_s"] > 0
    hurried = Plan(task=Synthetic(), history=history, behind=(10, 30), suggestions=3, cap_s=0.0)  # type: ignore[arg-type]
    assert measure(contenders()["tpe"], sys.executable, hurried) == {
        "10": {"problem": "over 0 s"},
        "30": {"problem": "over 0 s"},
    }
