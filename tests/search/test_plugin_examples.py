"""The example plug-ins: they search better than at random, and pass the suite that the built-in algorithms pass."""

import sys
from pathlib import Path

import pytest

from tuning_service.domain.job import AlgorithmChoice, Goal, Objective
from tuning_service.domain.space import Space
from tuning_service.domain.trial import Observation
from tuning_service.search.host import AlgorithmHost, AlgorithmSetup
from tuning_service.search.plugins import manifest
from tuning_service.search.plugins.cache import prepared
from tuning_service.search.plugins.check import conformance
from tuning_service.search.plugins.limits import PluginLimits

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
LIMITS = PluginLimits(answer_s=60)
SPACE = Space.from_dict(
    {
        "x": {"type": "float", "min": -5, "max": 5},
        "y": {"type": "float", "min": 1e-4, "max": 1, "scale": "log"},
        "n": {"type": "int", "min": 1, "max": 64, "scale": "pow2"},
        "kind": {"type": "categorical", "values": ["plain", "deep"]},
        "depth": {"type": "int", "min": 1, "max": 9, "when": {"kind": ["deep"]}},
    }
)


@pytest.fixture(scope="module")
def environments(tmp_path_factory):
    return tmp_path_factory.mktemp("environments")


@pytest.fixture
def plugin(request, environments):
    folder = PLUGINS / request.param
    return prepared(folder, manifest.read(folder), environments, install_s=170)


def loss_of(params):
    return (params["x"] - 1) ** 2 + abs(params["n"] - 16) / 16 + abs(params.get("depth", 0) - 3)


def best_of(name, steps, plugin=None, seed=7, **options):
    version = "" if plugin is None else plugin.manifest.version
    setup = AlgorithmSetup(
        space=SPACE,
        objectives=(Objective(metric="loss", goal=Goal.MINIMIZE),),
        algorithm=AlgorithmChoice(name=name, version=version, options=options),
        seed=seed,
    )
    host = AlgorithmHost(children=1, plugin_limits=LIMITS)
    session = host.open("job", setup, None if plugin is None else lambda: plugin)
    history = []
    try:
        for number in range(steps):
            (suggestion,) = session.ask(1, history, []).result(60)
            SPACE.check(suggestion.params)
            history.append(Observation.of(number=number, params=suggestion.params, loss=loss_of(suggestion.params)))
    finally:
        host.close()
    return min(o.loss for o in history)


both = pytest.mark.parametrize("plugin", ["simulated_annealing", "optuna_sampler"], indirect=True)


@both
def test_it_passes_the_suite_of_the_built_in_algorithms(plugin):
    results = conformance(plugin, LIMITS)
    assert len(results) > 10
    assert [r for r in results if not r.ok] == []


@both
def test_it_finds_better_configurations_than_random_search(plugin):
    seeds = (1, 2)
    ours = [best_of(plugin.manifest.name, 45, plugin, seed) for seed in seeds]
    assert sum(ours) < 0.7 * sum(best_of("random", 45, seed=seed) for seed in seeds)


@pytest.mark.parametrize("plugin", ["optuna_sampler"], indirect=True)
@pytest.mark.parametrize("sampler", ["nsgaii", "qmc", "random"])
def test_each_of_optunas_samplers_proposes(plugin, sampler):
    assert best_of("optuna_sampler", 5, plugin, sampler=sampler) >= 0


@pytest.mark.parametrize("plugin", ["optuna_sampler"], indirect=True)
def test_optuna_runs_in_an_environment_of_the_plugins_own(plugin):
    assert plugin.own_environment
    assert plugin.python != sys.executable


def test_the_one_from_scratch_is_small():
    assert len((PLUGINS / "simulated_annealing" / "simulated_annealing.py").read_text().splitlines()) < 120
