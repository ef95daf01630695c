"""What is searched: surrogates of real trainings from YAHPO Gym, asked at full fidelity."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.search_quality.searcher import Params, SpaceDict
from tuning_service.domain.space import Params as AnyParams
from tuning_service.domain.space import Space
from tuning_service.search.transform import SpaceTransform

REPORTED = (
    *(f"lcbench:{task}" for task in ("167168", "189873", "189906", "3945", "168868")),
    *(f"rbv2_xgboost:{task}" for task in ("12", "1501", "16")),
)
_DRAWS = 30_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One surrogate: its inputs in the model's order, what is fixed, and which outputs are read."""

    name: str
    task: str  # the input that says which data set
    continuous: tuple[str, ...]
    categorical: tuple[str, ...]
    fixed: Mapping[str, float]  # the fidelities, at their fullest
    accuracy: int  # place of the output
    seconds: int
    full: float  # what a perfect accuracy is called


SCENARIOS = {
    "lcbench": Scenario(
        name="lcbench",
        task="OpenML_task_id",
        continuous=(
            *("epoch", "batch_size", "learning_rate", "momentum"),
            *("weight_decay", "num_layers", "max_units", "max_dropout"),
        ),
        categorical=("OpenML_task_id",),
        fixed={"epoch": 52},
        accuracy=1,
        seconds=0,
        full=100.0,
    ),
    "rbv2_xgboost": Scenario(
        name="rbv2_xgboost",
        task="task_id",
        continuous=(
            *("nrounds", "eta", "gamma", "lambda", "alpha", "subsample", "max_depth", "min_child_weight"),
            *("colsample_bytree", "colsample_bylevel", "rate_drop", "skip_drop", "trainsize", "repl"),
        ),
        categorical=("task_id", "booster", "num.impute.selected.cpo"),
        fixed={"trainsize": 1.0, "repl": 10},
        accuracy=0,
        seconds=6,
        full=1.0,
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Two losses that fix the scale of regret: 0 at `best`, 1 at `middling`, the median of random configurations."""

    best: float
    middling: float

    def regret(self, loss: float) -> float:
        """Below 0 where a searcher found what the reference did not."""
        return (loss - self.best) / (self.middling - self.best)


class Task:
    """One data set of a surrogate. Names are written with underscores, since a job file takes no dots."""

    def __init__(self, name: str, data: Path) -> None:
        """`name` is "scenario:data set"; `data` holds the folder of the scenario, or a folder yahpo that does.

        Raises:
            ValueError: no such scenario or data set.
        """
        scenario, _, self._id = name.partition(":")
        if scenario not in SCENARIOS:
            raise ValueError(f"{name}: the scenario is none of {', '.join(SCENARIOS)}")
        self.name = name
        self._scenario = SCENARIOS[scenario]
        self._root = data / "yahpo" if (data / "yahpo").is_dir() else data
        self._folder = self._root / scenario
        self._codes: dict[str, dict[str, int]] = json.loads((self._folder / "encoding.json").read_text("utf-8"))
        if self._id not in self._codes[self._scenario.task]:
            raise ValueError(f"{name}: the surrogate knows no such data set")
        config = json.loads((self._folder / "config_space.json").read_text("utf-8"))
        self.space: SpaceDict = _space(config, {self._scenario.task, *self._scenario.fixed})

    def evaluate(self, params: Params) -> tuple[float, float]:
        """Loss, and the seconds that the training took."""
        (loss,), (seconds,) = self.query([params])
        return float(loss), float(seconds)

    def query(self, configurations: Sequence[AnyParams]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Losses 1 - accuracy and seconds, each (n,)."""
        scenario = self._scenario
        rows = [{_plain(n): v for n, v in params.items()} | dict(scenario.fixed) for params in configurations]
        continuous = [[float(row.get(_plain(name), 0.0)) for name in scenario.continuous] for row in rows]
        codes = [[self._code(name, row) for name in scenario.categorical] for row in rows]
        (found,) = self._session.run(
            None, {"x_cat": np.array(codes, dtype=np.int32), "x_cont": np.array(continuous, dtype=np.float32)}
        )
        found = np.asarray(found, dtype=np.float64)
        return 1.0 - found[:, scenario.accuracy] / scenario.full, np.maximum(found[:, scenario.seconds], 1e-3)

    def reference(self, cache: Path) -> Reference:
        """From the data folder, or from `cache`, or computed (a minute or two) and written there."""
        name = f"ref_{self.name.replace(':', '_')}.json"
        for folder in (self._root, cache):
            if (folder / name).is_file():
                known = json.loads((folder / name).read_text("utf-8"))
                return Reference(best=known["best"], middling=known["q"]["50"])
        best, arg, losses = search_reference(self)
        cache.mkdir(parents=True, exist_ok=True)
        quantiles = {str(q): float(np.quantile(losses, q / 100)) for q in (1, 5, 50)}
        found = {"best": best, "rand_best": float(losses.min()), "q": quantiles, "arg": arg, "n": len(losses)}
        (cache / name).write_text(json.dumps(found) + "\n", "utf-8")
        return Reference(best=best, middling=quantiles["50"])

    @cached_property
    def _session(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        return onnxruntime.InferenceSession(
            self._folder / "model.onnx", sess_options=options, providers=["CPUExecutionProvider"]
        )

    def _code(self, name: str, row: Mapping[str, Any]) -> int:
        value = self._id if name == self._scenario.task else row.get(_plain(name), "#na#")
        return self._codes[name][value]


def search_reference(task: Task, draws: int = _DRAWS) -> tuple[float, dict[str, Any], NDArray[np.float64]]:
    """The best loss of a long search, its configuration, and the losses of the `draws` random ones it begins with.

    Then the 20 best are refined: in 60 rounds each of them gives 25 neighbours, normal steps in some coordinates of the
    unit cube, ever shorter, and the best 20 of old and new stay.
    """
    transform = SpaceTransform(Space.from_dict(task.space))
    rng = np.random.default_rng(0)
    configurations = [transform.sample(rng) for _ in range(draws)]
    losses = np.concatenate([task.query(configurations[i : i + 5000])[0] for i in range(0, draws, 5000)])
    best = np.argsort(losses, kind="stable")[:20]
    kept = [(float(losses[i]), configurations[i]) for i in best]
    for reach in np.geomspace(0.3, 0.003, 60):
        near = [transform.from_unit(_neighbour(transform.to_unit(p), reach, rng)) for _, p in kept for _ in range(25)]
        kept += list(zip(map(float, task.query(near)[0]), near, strict=True))
        kept = sorted(kept, key=lambda one: one[0])[:20]
    return kept[0][0], dict(kept[0][1]), losses


def _neighbour(unit: NDArray[np.float64], reach: float, rng: np.random.Generator) -> NDArray[np.float64]:
    here = np.where(np.isnan(unit), rng.random(len(unit)), unit)
    moved = rng.random(len(unit)) < rng.choice([1 / len(unit), 0.5, 1.0])
    stepped: NDArray[np.float64] = np.clip(here + moved * rng.normal(0.0, reach, len(unit)), 0.0, 1.0)
    return stepped


def _plain(name: str) -> str:
    return name.replace(".", "_")


def _space(config: Mapping[str, Any], left_out: set[str]) -> SpaceDict:
    """A job file's space from ConfigSpace's JSON, parents first."""
    when: dict[str, dict[str, list[str]]] = {}
    for condition in config["conditions"]:
        allowed = condition["values"] if condition["type"] == "IN" else [condition["value"]]
        when.setdefault(_plain(condition["child"]), {})[_plain(condition["parent"])] = allowed
    items = {_plain(p["name"]): _parameter(p) for p in config["hyperparameters"] if p["name"] not in left_out}
    space = Space.from_dict({name: item | {"when": when.get(name)} for name, item in items.items()})
    return Space(parameters=space.topological).to_dict()


def _parameter(item: Mapping[str, Any]) -> dict[str, Any]:
    if item["type"] == "categorical":
        return {"type": "categorical", "values": item["choices"]}
    scale = "log" if item["log"] else "linear"
    kind = {"uniform_int": "int", "uniform_float": "float"}[item["type"]]
    return {"type": kind, "min": item["lower"], "max": item["upper"], "scale": scale}
