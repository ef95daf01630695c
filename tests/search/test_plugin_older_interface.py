"""Optimizers of the older interface, unchanged, as algorithms of jobs."""

import os
import signal

import pytest

from tests.plugins import OLD_GRID, OLD_RANDOM, prepared, write
from tuning_service.domain.job import AlgorithmChoice, Goal, Objective
from tuning_service.domain.space import Space
from tuning_service.domain.trial import Observation
from tuning_service.search.host import AlgorithmFailed, AlgorithmHost, AlgorithmSetup
from tuning_service.search.plugins import dli
from tuning_service.search.plugins.limits import PluginLimits

SPACE = {
    "lr": {"type": "float", "min": 1e-4, "max": 0.3, "scale": "log"},
    "momentum": {"type": "float", "min": 0.0, "max": 0.9, "step": 0.1},
    "layers": {"type": "int", "min": 1, "max": 5},
    "batch": {"type": "int", "min": 16, "max": 64, "scale": "pow2"},
    "nesterov": {"type": "bool"},
    "mixed": {"type": "categorical", "values": [1, "one", 2.5]},
    "size": {"type": "ordinal", "values": [10, 20, 50]},
    "fixed": {"type": "fixed", "value": "x"},
}


@pytest.fixture
def host():
    host = AlgorithmHost(children=1, plugin_limits=PluginLimits(answer_s=30, pause_s=0.01))
    yield host
    host.close()


@pytest.fixture
def opened(host, tmp_path):
    def make(source, space=SPACE, goal=Goal.MINIMIZE, seed=1, **options):
        plugin = prepared(write(tmp_path / "plugin", {"optimizer.py": source}), "old")
        setup = AlgorithmSetup(
            space=Space.from_dict(space),
            objectives=(Objective(metric="loss", goal=goal),),
            algorithm=AlgorithmChoice(name="old", version="1", options=options),
            seed=seed,
        )
        return host.open("job", setup, lambda: plugin)

    return make


def search(session, steps, history=(), loss=lambda p: float(p.get("lr", 0))):
    history = list(history)
    for number in range(len(history), len(history) + steps):
        suggestions = session.ask(1, history, []).result(60)
        if not suggestions:
            break
        params = suggestions[0].params
        history.append(Observation.of(number=number, params=params, loss=loss(params)))
    return history


def params_of(history):
    return [dict(o.params) for o in history]


def test_values_come_back_in_the_types_of_the_space(opened):
    history = search(opened(OLD_RANDOM, RandomSeed="5"), 12)
    assert len(history) == 12
    for params in params_of(history):
        Space.from_dict(SPACE).check(params)
    assert {type(p["nesterov"]) for p in params_of(history)} == {bool}
    assert {type(p["mixed"]) for p in params_of(history)} == {int, str, float}


def test_the_parameters_are_written_as_in_the_older_request(opened):
    lines = "import json; raise ValueError(json.dumps([hyper_parameters, kwargs]))"
    source = OLD_RANDOM.replace("self.parameters = hyper_parameters", lines)
    with pytest.raises(AlgorithmFailed) as caught:
        opened(source, RandomSeed="5", Count=3, Fast=True).ask(1, [], []).result(60)
    import json

    forms, options = json.loads(caught.value.message.partition("ValueError: ")[2])
    assert options == {"RandomSeed": "5", "Count": "3", "Fast": "true"}
    by_name = {form.pop("name"): form for form in forms}
    assert by_name["lr"] == {
        "type": "Range", "dataType": "DOUBLE", "minDbVal": 0.0001, "maxDbVal": 0.3, "power": "10",
    }  # fmt: skip
    assert by_name["layers"] == {"type": "Range", "dataType": "INT", "minIntVal": 1, "maxIntVal": 5}
    assert by_name["batch"] == {"type": "Discrete", "dataType": "INT", "discreteIntVal": [16, 32, 64]}
    assert by_name["momentum"]["discreteDbVal"][:3] == [0.0, 0.1, 0.2]
    assert by_name["nesterov"] == {"type": "Discrete", "dataType": "STR", "discreateStrVal": ["false", "true"]}
    assert by_name["mixed"]["discreateStrVal"] == ["1", "one", "2.5"]


def test_results_are_shown_once_in_the_users_own_sign_with_failures(opened):
    source = OLD_RANDOM.replace(
        "self.results.extend(last_exp_results or [])",
        "self.results.extend(last_exp_results)\n        if len(self.results) == 2: raise ValueError(self.results)",
    )
    session = opened(source, {"lr": SPACE["lr"]}, Goal.MAXIMIZE)
    history = search(session, 2, loss=lambda p: -0.25)
    history[1] = Observation.of(number=1, params=history[1].params, loss=None)
    with pytest.raises(AlgorithmFailed) as caught:
        session.ask(1, history, []).result(60)
    first, second = eval(caught.value.message.partition("ValueError: ")[2])
    assert first == {
        "id": 0,
        "hyperParams": dict(history[0].params),
        "metricVal": 0.25,
        "state": "FINISHED",
        "metrics": [{"name": "loss", "min": 0.25, "max": 0.25, "latest": 0.25}],
    }
    assert (second["id"], second["metricVal"], second["state"]) == (1, None, "FAILED")


GRID = {"kind": SPACE["mixed"], "size": SPACE["size"], "layers": {"type": "int", "min": 1, "max": 2}}


def test_a_grid_is_walked_to_its_last_point_and_then_ends(opened):
    session = opened(OLD_GRID, GRID)
    history = search(session, 30)
    assert len(history) == 18
    assert len({tuple(p.values()) for p in params_of(history)}) == 18
    assert session.ask(4, history, []).result(60) == []


@pytest.mark.parametrize("source", [OLD_RANDOM, OLD_GRID])
def test_a_process_that_died_is_replaced_by_one_that_goes_on(host, opened, source):
    whole = search(opened(source, GRID), 12)
    session = opened(source, GRID)
    half = search(session, 6)
    os.kill(host.pids()[-1], signal.SIGKILL)
    assert search(session, 6, half) == whole


def test_a_state_that_cannot_be_kept_is_led_there_again(host, opened):
    source = OLD_RANDOM.replace('"results": self.results}', '"results": self.results, "same": lambda x: x}')
    whole = search(opened(source, GRID), 12)
    session = opened(source, GRID)
    half = search(session, 6)
    os.kill(host.pids()[-1], signal.SIGKILL)
    assert search(session, 6, half) == whole


@pytest.mark.parametrize("source", [OLD_RANDOM, OLD_GRID])
def test_a_service_that_was_restarted_goes_on_too(opened, source):
    whole = search(opened(source, GRID), 12)
    assert search(opened(source, GRID), 6, whole[:6]) == whole


def test_what_was_given_at_once_is_not_lost_with_the_service(opened):
    source = OLD_GRID.replace("end = self.place + number_samples", "end = last")
    whole = search(opened(source, GRID), 30)
    assert len(whole) == 18
    assert search(opened(source, GRID), 30, whole[:6]) == whole


RUBBISH = [
    ("'lr=0.1'", "its search returned a str, not a list"),
    ("[0.1]", "a list with a float in it: 0.1"),
    ("[{'rate': 0.1}]", "that lacks lr and holds unknown rate"),
    ("[{'lr': 7.0}]", "returned lr = 7.0, which the space does not allow"),
    ("[{'lr': float('nan')}]", "returned lr = nan, which the space does not allow"),
    ("[{'lr': 'much'}]", "returned lr = 'much', which the space does not allow"),
]


def test_rubbish_is_told(opened):
    lines = "".join(f"if number_samples == {i}: return {what}\n        " for i, (what, _) in enumerate(RUBBISH, 1))
    session = opened(OLD_RANDOM.replace("return [{p", lines + "return [{p"), {"lr": SPACE["lr"]})
    for count, (_, told) in enumerate(RUBBISH, 1):
        with pytest.raises(AlgorithmFailed) as caught:
            session.ask(count, [], []).result(60)
        assert told in caught.value.message


def test_more_than_was_asked_for_is_kept_for_later(opened):
    source = OLD_RANDOM.replace("range(number_samples)", "range(number_samples + 2)")
    session = opened(source, {"lr": SPACE["lr"]})
    assert len(session.ask(1, [], []).result(60)) == 1
    assert len(search(session, 5)) == 5


def test_texts_and_rounded_numbers_are_read(opened):
    source = OLD_RANDOM.replace("return [{p", "return [{'lr': '0.3000000000001', 'n': 3.0}]\n        return [{p")
    space = {"lr": SPACE["lr"], "n": {"type": "int", "min": 1, "max": 5}}
    (suggestion,) = opened(source, space).ask(1, [], []).result(60)
    assert suggestion.params == {"lr": 0.3, "n": 3}
    assert dli.BasePluginOptimizer("x", []).get_state() == {}


def test_a_number_is_the_nearest_of_values_that_are_close_together(opened):
    source = OLD_RANDOM.replace("return [{p", "return [{'n': 1000000002.0}]\n        return [{p")
    (suggestion,) = opened(source, {"n": {"type": "int", "min": 10**9, "max": 10**9 + 5}}).ask(1, [], []).result(60)
    assert suggestion.params == {"n": 10**9 + 2}
