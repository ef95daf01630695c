"""Jobs whose parameters stand in prototxt files."""

import dataclasses

import pytest

from tests.rest_service import archive
from tests.samples import a_job, a_spec, a_trial
from tuning_service.domain.errors import InvalidRequest
from tuning_service.domain.job import Goal, MetricConstraint, Objective
from tuning_service.domain.space import Space
from tuning_service.frameworks import frameworks
from tuning_service.frameworks.base import ProgramFiles
from tuning_service.frameworks.program_files import read_program

SOLVER = """net: "net.prototxt"
base_lr: BASE_LR
lr_policy: "fixed"
max_iter: 10
test_iter: 2
test_interval: 5
display: 5
"""
NET = """layer { name: "in" type: "DummyData" top: "data" top: "label"
  dummy_data_param { shape { dim: 4 dim: 1 dim: 12 dim: 12 } shape { dim: 4 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 8 kernel_size: KERNEL } }
layer { name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1" pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "ip" type: "InnerProduct" bottom: "pool1" top: "ip" inner_product_param { num_output: 3 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""
LR = {"type": "float", "min": 1e-4, "max": 0.1, "scale": "log"}
KERNEL = {"type": "int", "min": 3, "max": 15, "step": 4}
SPACE = {"BASE_LR": LR, "KERNEL": KERNEL}
COMMAND = "caffe train --solver=solver.prototxt"
MANAGER = frameworks()["caffe"]


def spec(space=SPACE, command=COMMAND, metric="loss", **changes):
    objectives = (Objective(metric=metric, goal=Goal.MINIMIZE),)
    return a_spec(framework="caffe", command=command, space=Space.from_dict(space), objectives=objectives, **changes)


def program(solver=SOLVER, net=NET, **more):
    texts = {"solver.prototxt": solver, "net.prototxt": net, **{f"{name}.prototxt": t for name, t in more.items()}}
    return ProgramFiles(names=frozenset({*texts, "README.md"}), texts=texts)


def problems(made, files):
    with pytest.raises(InvalidRequest) as caught:
        MANAGER.check(made, files)
    found = {}
    for p in caught.value.problems:
        found[p.field] = found.get(p.field, "") + f"{p.message} | {p.remedy}\n"
    return found


@pytest.mark.parametrize(
    "command",
    [
        COMMAND,
        "caffe train -solver solver.prototxt",
        "caffe train -solver=./solver.prototxt --gpu all",
        "caffe train --solver solver.prototxt --weights=a.caffemodel --level=1 --stage=a,b",
    ],
)
def test_commands_are_read_as_caffe_reads_them(command):
    MANAGER.check(spec(command=command), program())


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("nvidia-smi", "does not begin with: caffe train"),
        ("caffe test --solver=solver.prototxt", "does not begin with: caffe train"),
        ("caffe train", "names no solver"),
        ("caffe train --solver", "gives --solver no value"),
        ("caffe train --solver=solver.prototxt --gpus=1", "gpus, which is no option"),
        ("caffe train solver.prototxt", "solver.prototxt, which is no option"),
        ("caffe train --solver=slover.prototxt", "names slover.prototxt, which is not in the program."),
        ("caffe train --solver='", "Close each quote"),
    ],
)
def test_commands_that_cannot_be(command, told):
    assert told in problems(spec(command=command), program())["command"]


def test_a_name_that_stands_nowhere_is_refused():
    made = spec({**SPACE, "MOMENTUM": LR, "IN_A_STRING": LR})
    found = problems(made, program(net=NET + '# MOMENTUM\nname: "IN_A_STRING"'))
    assert set(found) == {"space.MOMENTUM", "space.IN_A_STRING"}
    assert "stands in none of the program's prototxt files" in found["space.MOMENTUM"]
    assert "Write MOMENTUM, without quotes" in found["space.MOMENTUM"]


def test_a_conditional_name_needs_a_default_to_stand_in_for_it():
    solver = SOLVER + "type: TYPE\nmomentum: MOMENTUM\n"
    space = {
        **SPACE,
        "TYPE": {"type": "categorical", "values": ["SGD", "AdaGrad"]},
        "MOMENTUM": {"type": "float", "min": 0.0, "max": 0.9, "when": {"TYPE": ["SGD"]}},
    }
    found = problems(spec(space), program(solver=solver))
    assert list(found) == ["space.MOMENTUM"]
    assert "no default, which is put in its place (solver.prototxt, line 9, column 11)" in found["space.MOMENTUM"]
    space["MOMENTUM"]["default"] = 0.0
    made = spec(space)
    MANAGER.check(made, program(solver=solver))
    params = {"BASE_LR": 0.1, "KERNEL": 3, "TYPE": "AdaGrad"}
    plan = MANAGER.prepare(made, a_trial(a_job(), params=params), ())
    assert plan.values == {**params, "MOMENTUM": 0.0}


def test_a_name_that_was_mistyped_is_placed_and_the_right_one_named():
    found = problems(spec(), program(solver=SOLVER + "momentum:  BASE_LRR\n"))["program"]
    assert "solver.prototxt, line 8, column 12: " in found
    assert "Did you mean BASE_LR, which is in the space?" in found


def test_columns_are_those_of_the_template_behind_what_was_filled_in():
    found = problems(spec(), program(net=NET.replace("kernel_size: KERNEL", "kernel_size: KERNEL padd: 1")))["program"]
    column = NET.splitlines()[3].index("KERNEL") + len("KERNEL ") + 1
    assert f"net.prototxt, line 4, column {column}: " in found
    assert 'no field named "padd"' in found


def test_a_value_of_the_wrong_kind_names_its_parameter():
    found = problems(spec({**SPACE, "KERNEL": {"type": "float", "min": 2.5, "max": 4.5}}), program())["program"]
    assert "net.prototxt, line 4, column" in found
    assert "as KERNEL is 3.5" in found


@pytest.mark.parametrize(
    ("solver", "told"),
    [
        (SOLVER.replace('net: "net.prototxt"\n', ""), "the solver names no net to train; write net:"),
        (SOLVER + 'train_net: "net.prototxt"', "names a net to train in net and in train_net"),
        (
            SOLVER.replace("net.prototxt", "nett.prototxt"),
            "net names nett.prototxt, which is not in the program. | Did you",
        ),
        (SOLVER.replace('"fixed"', '"setp"'), "has the lr_policy 'setp'; use one of fixed, step"),
        (SOLVER.replace('"fixed"', '"step"'), "needs gamma; it has the lr_policy 'step', which needs stepsize"),
        (SOLVER.replace("max_iter: 10", ""), "needs a max_iter above 0"),
        (SOLVER.replace("test_iter: 2", ""), "has a test_interval and no test_iter"),
        (SOLVER.replace("test_interval: 5", ""), "has test_iter and no test_interval"),
        (SOLVER + 'type: "Adm"', "has the type 'Adm'"),
        (SOLVER + 'regularization_type: "L3"', "use L1 or L2"),
        (SOLVER + "iter_size: 0", "has the iter_size 0"),
        (SOLVER + 'type: "RMSProp" rms_decay: 1', "has the rms_decay 1"),
        (SOLVER.replace("base_lr: BASE_LR", "base_lr: -1 momentum: BASE_LR"), "has the base_lr -1"),
        (SOLVER.replace("test_iter: 2", "test_iter: 0"), "has a test_iter below 1"),
        (SOLVER + 'type: "AdaGrad" momentum: 0.9', "has a momentum, which AdaGrad does not take"),
        (SOLVER + 'test_net: "net.prototxt" test_net: "net.prototxt"', "has 1 test_iter fields for 2 test nets"),
        (SOLVER + "test_state {} test_state {}", "has 2 test_state fields for 1 tests"),
        (SOLVER.replace("base_lr: BASE_LR", "random_seed: BASE_LR"), "Couldn't parse integer"),
    ],
)
def test_solvers_that_cannot_train(solver, told):
    found = problems(spec(), program(solver=solver))["program"]
    assert "solver.prototxt" in found
    assert told in found


@pytest.mark.parametrize(
    ("net", "told"),
    [
        (
            NET.replace('bottom: "pool1"', 'bottom: "pool9"'),
            "net.prototxt, line 6, layer ip: bottom pool9 is the top of no",
        ),
        (NET.replace("InnerProduct", "Embed"), "net.prototxt, line 6, layer ip: type Embed is not supported"),
        (NET.replace('type: "SoftmaxWithLoss"', 'type: "Accuracy"'), "no layer of the net gives a loss in phase TRAIN"),
        (NET + "layer {", "net.prototxt, line 8"),
        (NET.replace('type: "DummyData"', 'type: "MemoryData"'), "line 1, layer in: MemoryData is fed by a program"),
    ],
)
def test_nets_that_cannot_be_built(net, told):
    assert told in problems(spec(), program(net=net))["program"]


def test_a_net_inside_the_solver_and_nets_for_tests_are_looked_at():
    inline = SOLVER.replace('net: "net.prototxt"', f"net_param {{ {NET} }}")
    MANAGER.check(spec(), program(solver=inline, net=""))
    other = SOLVER + 'test_net: "other.prototxt"'
    wrong = NET.replace('top: "ip"', 'top: "conv1"').replace("KERNEL", "3")
    assert (
        "other.prototxt, line 6, layer ip: conv1 is a top of layer conv1 too"
        in problems(spec(), program(solver=other, other=wrong))["program"]
    )


def test_what_is_wrong_for_some_is_no_matter_of_submission():
    made = spec()
    MANAGER.check(made, program())
    assert MANAGER.infeasible(made, program(), {"BASE_LR": 0.1, "KERNEL": 3}) == ""
    assert MANAGER.infeasible(made, program(), {"BASE_LR": 0.1, "KERNEL": 15}) == (
        "net.prototxt, line 3, layer conv1: kernel of 15 is larger than its input of 12"
    )


def test_what_is_wrong_for_all_is():
    found = problems(spec({**SPACE, "KERNEL": {**KERNEL, "min": 15, "max": 27}}), program())["program"]
    assert "layer conv1: kernel of" in found
    assert "configurations of the space could be trained" in found


def test_one_point_that_can_be_trained_is_enough():
    space = {"BASE_LR": LR, "KERNEL": {"type": "int", "min": 1, "max": 100_000, "default": 50_000}}
    made = spec(space, points=({"BASE_LR": 0.1, "KERNEL": 12},))
    MANAGER.check(made, program())


def test_levels_and_stages_of_the_command_choose_layers():
    net = NET.replace('name: "loss"', 'name: "loss" include { stage: "learn" min_level: 1 }')
    assert "no layer of the net gives a loss" in problems(spec(), program(net=net))["program"]
    MANAGER.check(spec(command=f"{COMMAND} --stage learn --level=1"), program(net=net))
    MANAGER.check(spec(), program(net=net + 'state { level: 1 stage: "learn" }'))
    MANAGER.check(spec(), program(net=net, solver=SOLVER + 'train_state { level: 1 stage: "learn" }'))


def test_the_command_gets_no_parameters_and_the_templates_do():
    plan = MANAGER.prepare(spec(), a_trial(a_job(), params={"BASE_LR": 0.1, "KERNEL": 3}), ())
    assert plan.argv == ("caffe", "train", "--solver=solver.prototxt")
    assert plan.templates == ("*.prototxt",)
    assert plan.values == {"BASE_LR": 0.1, "KERNEL": 3}
    assert plan.environment["OMP_NUM_THREADS"] == "1"


def test_only_texts_that_are_wanted_are_read_from_an_archive():
    data = archive(
        {
            "a.prototxt": b"x: 1",
            "sub/b.prototxt": "ü".encode(),
            "broken.prototxt": b"\xff",
            "long.prototxt": b"#" * (2**20 + 1),
            "train.py": b"1",
        }
    )
    names = ["a.prototxt", "sub/b.prototxt", "broken.prototxt", "long.prototxt", "train.py"]
    found = read_program(data, names, ("*.prototxt",))
    assert found.names == frozenset(names)
    assert found.texts == {"a.prototxt": "x: 1", "sub/b.prototxt": "ü"}
    made = dataclasses.replace(found, names=found.names | {"solver.prototxt"})
    assert (
        "solver.prototxt is no text of prototxt"
        in problems(
            spec({} | SPACE), ProgramFiles(names=made.names, texts={"net.prototxt": NET, "x.prototxt": "BASE_LR"})
        )["program"]
    )


SCORED = NET + (
    'layer { name: "a" type: "Accuracy" bottom: "ip" bottom: "label" top: "accuracy" top: "each" '
    "include { phase: TEST } }\n"
)


@pytest.mark.parametrize(
    "metric", ["accuracy", "test_accuracy", "loss", "lr", "train_loss", "Test loss", "each", "test_each_2"]
)
def test_what_the_nets_put_out_can_be_asked_for(metric):
    MANAGER.check(spec(metric=metric), program(net=SCORED))


@pytest.mark.parametrize(
    ("net", "solver", "metric", "told"),
    [
        (NET, SOLVER, "accuracy", "accuracy is no output of the nets. | A training prints loss, lr, train_loss, test_"),
        (SCORED, SOLVER, "train_accuracy", "train_accuracy is no output of the nets"),
        (
            SCORED,
            SOLVER,
            "val_accuracy",
            "A training prints loss, lr, train_loss, test_accuracy, test_each, test_loss.",
        ),
        (SCORED, SOLVER, "test1_accuracy", "is no output"),
        (SCORED, SOLVER.replace("display: 5", ""), "loss", "Without display in the solver, Caffe prints no loss"),
        (SCORED, SOLVER.replace("test_iter: 2\ntest_interval: 5", ""), "accuracy", "prints loss, lr, train_loss."),
    ],
)
def test_what_they_do_not_put_out_is_refused_before_it_is_trained_in_vain(net, solver, metric, told):
    assert told in problems(spec(metric=metric), program(net=net, solver=solver))["objective.metric"]


def test_a_pattern_may_read_more_than_the_nets_put_out():
    MANAGER.check(spec(metric="speed", log_patterns=(r"\((?P<speed>\d+) iter/s",)), program())


def test_a_limit_on_what_they_do_not_put_out_is_refused_too():
    limits = (MetricConstraint.parse("accuracy >= 0.9", "metric_constraints.0"),)
    assert "accuracy is no output" in problems(spec(metric_constraints=limits), program())["metric_constraints"]
