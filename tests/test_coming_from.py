"""What docs/coming-from.md says is the same in other libraries is the same."""

import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from tuning_service.domain.space import Space

PAGE = Path(__file__).resolve().parents[1] / "docs" / "coming-from.md"


def spaces_of_peers() -> list[tuple[dict, dict[str, str]]]:
    """Each row of the tables that compare search spaces: our entry, and the others' by library."""
    page = PAGE.read_text()
    section = page[page.index("## Search spaces") : page.index("- **Steps** begin")]
    rows: list[tuple[dict, dict[str, str]]] = []
    names: list[str] = []
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| Here"):
            names = [cell.split()[0].rstrip(":") for cell in cells[1:]]
        elif line.startswith("| `"):
            rows.append((yaml.safe_load(cells[0].strip("`")), dict(zip(names, cells[1:], strict=True))))
    return rows


def entry_of_optuna(text: str) -> dict:
    import optuna

    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1)).ask()
    eval(text, {"trial": trial})
    (asked,) = trial.distributions.values()
    if isinstance(asked, optuna.distributions.CategoricalDistribution):
        return {"values": list(asked.choices)}
    kind = "int" if isinstance(asked, optuna.distributions.IntDistribution) else "float"
    # 1 is every whole number.
    step = {} if asked.step is None or (kind, asked.step) == ("int", 1) else {"step": asked.step}
    return {"type": kind, "min": asked.low, "max": asked.high, **({"scale": "log"} if asked.log else step)}


def entry_of_ray(text: str) -> dict:
    """By what its documentation says of each."""
    tune = SimpleNamespace(
        uniform=lambda low, high: {"type": "float", "min": low, "max": high},
        loguniform=lambda low, high: {"type": "float", "min": low, "max": high, "scale": "log"},
        quniform=lambda low, high, q: {"type": "float", "min": low, "max": high, "step": q},
        randint=lambda low, high: {"type": "int", "min": low, "max": high - 1},
        lograndint=lambda low, high: {"type": "int", "min": low, "max": high - 1, "scale": "log"},
        choice=lambda values: {"values": values},
    )
    return eval(text, {"tune": tune})


def entry_of_nni(text: str) -> dict:
    wanted = json.loads(text)
    kind, values = wanted["_type"], wanted["_value"]
    if kind == "choice":
        return {"values": values}
    low, high, *q = values
    made = {"type": "int" if kind == "randint" or kind.startswith("qlog") else "float", "min": low, "max": high}
    if kind == "randint":
        made["max"] -= 1
    return made | ({"scale": "log"} if "log" in kind else {"step": q[0]} if q else {})


def entry_of_katib(text: str) -> dict:
    kind, feasible = (part.strip("`") for part in text.split(", ", 1))
    written = yaml.safe_load(feasible)
    if "list" in written:
        return {"values": [yaml.safe_load(value) for value in written["list"]]}
    made = {name: float(written[name]) for name in ("min", "max", "step") if name in written}
    scale = {"scale": "log"} if written.get("distribution") == "logUniform" else {}
    return {"type": {"double": "float"}.get(kind, kind), **made, **scale}


@pytest.mark.parametrize(("ours", "theirs"), spaces_of_peers())
def test_search_spaces_of_other_libraries_are_ours_under_another_name(ours, theirs):
    space = Space.from_dict({"x": ours})
    same = ours if "values" not in ours else {"values": ours["values"]}
    same = {"values": [False, True]} if ours["type"] == "bool" else same
    readers = {"Optuna": entry_of_optuna, "Ray": entry_of_ray, "NNI": entry_of_nni}
    for name, text in theirs.items():
        if name in readers:
            assert readers[name](text.strip("`")) == same, text
        elif name == "Katib":
            assert entry_of_katib(text) == same, text
        else:
            assert name == "hyperopt"
            for expression in text.split(" or "):
                check_hyperopt(space, ours, expression.strip("`"))


def check_hyperopt(space: Space, ours: dict, expression: str) -> None:
    """Draws of it are all of our space, and reach near both ends."""
    from hyperopt import hp
    from hyperopt.pyll.stochastic import sample

    node = eval(expression, {"hp": hp, "log": math.log})
    draw = np.random.default_rng(1)
    values = [sample(node, rng=draw) for _ in range(300)]
    values = [int(value) if ours["type"] == "int" else value for value in values]
    for value in values:
        space.check({"x": value if isinstance(value, (str, int)) else float(value)})
    if "min" in ours:
        span = ours["max"] - ours["min"]
        assert min(values) <= ours["min"] + 0.1 * span
        assert max(values) >= ours["max"] - 0.1 * span
