"""hyperopt's TPE with its defaults, as `fmin` drives it, over hyperopt's own conditional space."""

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.search_quality.searcher import Params, Pending, Searcher, Setup, SpaceDict, Value

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from hyperopt import JOB_STATE_DONE, JOB_STATE_RUNNING, STATUS_OK, Trials, hp, tpe
    from hyperopt.base import Domain
    from hyperopt.pyll import scope


class HyperoptTpe(Searcher):
    """Running trials stand in `Trials` without a result, as under SparkTrials: TPE takes them as the worst."""

    def __init__(self, setup: Setup) -> None:
        self._space = setup.space
        self._trials = Trials()
        self._domain = Domain(lambda _: 0.0, nested(setup.space))
        self._rng = np.random.default_rng(setup.seed)
        self._pending: Pending[dict[str, Any]] = Pending()

    def ask(self) -> Params:
        """A new document in the trials, marked as running."""
        ids = self._trials.new_trial_ids(1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            (document,) = tpe.suggest(ids, self._domain, self._trials, int(self._rng.integers(2**31 - 1)))
        document["state"] = JOB_STATE_RUNNING
        self._trials.insert_trial_docs([document])
        self._trials.refresh()
        vals = {label: found[0] for label, found in document["misc"]["vals"].items() if found}
        params = {name: _value(item, vals[name]) for name, item in self._space.items() if name in vals}
        self._pending.put(params, self._trials._dynamic_trials[-1])  # noqa: SLF001  # the stored copy is there alone
        return params

    def tell(self, params: Params, loss: float) -> None:
        """The document is done."""
        document = self._pending.take(params)
        document["state"] = JOB_STATE_DONE
        document["result"] = {"status": STATUS_OK, "loss": loss}
        self._trials.refresh()

    def learn(self, history: Sequence[tuple[Params, float]]) -> None:
        """Done documents, inserted at once."""
        ids = self._trials.new_trial_ids(len(history))
        documents = []
        for tid, (params, loss) in zip(ids, history, strict=True):
            known = {n: [_code(i, params[n])] if n in params else [] for n, i in self._space.items()}
            misc = {
                "tid": tid,
                "cmd": ("domain_attachment", "FMinIter_Domain"),
                "workdir": None,
                "idxs": {name: [tid] if values else [] for name, values in known.items()},
                "vals": known,
            }
            result = {"status": STATUS_OK, "loss": loss}
            (document,) = self._trials.new_trial_docs([tid], [None], [result], [misc])
            documents.append(document | {"state": JOB_STATE_DONE})
        self._trials.insert_trial_docs(documents)
        self._trials.refresh()


def nested(space: SpaceDict) -> Any:
    """hyperopt's way to write conditions: `hp.choice` on the parent, each branch with the children active under it."""
    nodes = {name: _node(name, item) for name, item in space.items() if item["type"] != "categorical"}
    parents = {parent for item in space.values() for parent in item.get("when") or {}}
    tree: dict[str, Any] = {}
    for name, item in space.items():
        if name in parents:
            children = {c: i["when"][name] for c, i in space.items() if name in (i.get("when") or {})}
            tree[name] = hp.choice(
                name, [{c: nodes[c] for c, allowed in children.items() if v in allowed} for v in item["values"]]
            )
        elif not item.get("when"):
            tree[name] = nodes[name] if name in nodes else hp.choice(name, item["values"])
    return tree


def _node(name: str, item: Mapping[str, Any]) -> Any:
    low, high, is_log = item["min"], item["max"], item["scale"] == "log"
    if item["type"] == "float":
        return hp.loguniform(name, math.log(low), math.log(high)) if is_log else hp.uniform(name, low, high)
    if is_log:
        return scope.int(hp.qloguniform(name, math.log(low - 0.5), math.log(high + 0.5), 1))
    return hp.uniformint(name, low, high)


def _value(item: Mapping[str, Any], found: Any) -> Value:
    if item["type"] == "categorical":
        value: Value = item["values"][int(found)]
        return value
    bounded = min(item["max"], max(item["min"], found))
    return round(float(bounded)) if item["type"] == "int" else float(bounded)


def _code(item: Mapping[str, Any], value: Value) -> Any:
    return item["values"].index(value) if item["type"] == "categorical" else value


SEARCHER = HyperoptTpe
