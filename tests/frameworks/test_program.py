import argparse
import json

import pytest

from tuning_service.domain.errors import InvalidRequest
from tuning_service.domain.job import AlgorithmChoice, Arguments, Budget, Goal, JobSpec, Objective, Resources
from tuning_service.domain.parameters import FloatParameter
from tuning_service.domain.space import Space
from tuning_service.domain.state import TrialStatus
from tuning_service.domain.trial import Trial
from tuning_service.frameworks import frameworks
from tuning_service.frameworks.base import ProgramFiles
from tuning_service.logs import build_parser

FILES = ("train.py", "run.sh", "pkg/__init__.py", "pkg/train.py", "app/__main__.py", "conf/a.yaml")
PROGRAM = ProgramFiles(names=FILES)


def spec(command="python train.py", patterns=(), cpus=1, **fields):
    return JobSpec(
        name="job",
        framework="pytorch",
        program="0" * 64,
        command=command,
        space=Space(parameters=(FloatParameter(name="lr", min=0.1, max=1.0),)),
        objectives=(Objective(metric="val_accuracy", goal=Goal.MAXIMIZE),),
        algorithm=AlgorithmChoice(name="random"),
        budget=Budget(trials=1),
        resources=Resources(cpus=cpus),
        log_patterns=tuple(patterns),
        **fields,
    )


def trial(**params):
    return Trial(id="t", job_id="j", tenant_id="n", number=0, params=params, status=TrialStatus.QUEUED)


@pytest.fixture(params=["pytorch", "tensorflow", "command"])
def manager(request):
    return frameworks()[request.param]


@pytest.mark.parametrize(
    "command",
    [
        "python train.py",
        "python3.11 -u ./train.py --epochs 3",
        "python -X dev -W error train.py",
        "python -m pkg.train",
        "python -um pkg.train",
        "python -m app",
        "python app",
        "python -m torch.distributed.run --nproc-per-node 2 train.py",
        "python -c 'print(1)'",
        "python /opt/train.py",
        "torchrun --nproc-per-node=2 pkg/train.py",
        "./run.sh 'two words'",
        "sh run.sh",
        "bash -c 'python train.py'",
        "env A=1 python train.py",
        "/usr/bin/env python3 train.py",
        "nvidia-smi",
    ],
)
def test_commands_that_can_start_pass(manager, command):
    manager.check(spec(command), PROGRAM)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("python 'train.py", "Close each quote"),
        ("python trian.py", "Did you mean train.py?"),
        ("python src/train.py", "Did you mean train.py?"),
        ("python absent.py", "The program has: run.sh, train.py"),
        ("python ../train.py", "outside the program's folder"),
        ("python", "names no file"),
        ("python -m", "ends after -m"),
        ("python -m pkg.trian", "Did you mean pkg.train?"),
        ("python -m pgk.train", "Did you mean pkg.train?"),
        ("python -m torch.distributed.run trian.py", "Did you mean train.py?"),
        ("torchrun trian.py", "Did you mean train.py?"),
        ("./runn.sh", "Did you mean run.sh?"),
        ("run.sh", "Write ./run.sh"),
        ("sh rum.sh", "Did you mean run.sh?"),
        ("env A=1 python trian.py", "Did you mean train.py?"),
        ("A=1 python train.py", "env A=1 python train.py"),
        ("cd pkg && python train.py", "not run by a shell"),
    ],
)
def test_commands_that_cannot_start_are_refused_with_the_remedy(manager, command, message):
    with pytest.raises(InvalidRequest) as caught:
        manager.check(spec(command), PROGRAM)
    [problem] = caught.value.problems
    assert problem.field == "command"
    assert message in str(problem)


def test_a_folder_where_the_parameters_go_is_refused(manager):
    with pytest.raises(InvalidRequest) as caught:
        manager.check(spec(), ProgramFiles(names=["train.py", "params.json/x"]))
    [problem] = caught.value.problems
    assert str(problem).startswith("program: has a folder params.json")
    manager.check(spec(), ProgramFiles(names=["train.py", "params.json", "config.json/x"]))


def test_patterns_are_checked_each(manager):
    with pytest.raises(InvalidRequest) as caught:
        manager.check(spec("", patterns=["(?P<loss>.+)", "(", "(?P<x>(a+)+)"]), PROGRAM)
    assert [p.field for p in caught.value.problems] == ["command", "log_patterns.1", "log_patterns.2"]
    with pytest.raises(InvalidRequest, match="log_patterns: has 21 patterns"):
        manager.check(spec(patterns=["(?P<loss>.+)"] * 21), PROGRAM)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("", "is empty"),
        (" ", "is empty"),
        (".", "is empty"),
        ("/var/log/x", "is no relative path"),
        ("~/x", "is no relative path"),
        ("../x", "leads outside"),
        ("a/../../x", "leads outside"),
        ("a\0b", "has a character"),
        ("train.log", "is listed twice"),
    ],
)
def test_log_files_outside_the_program_are_refused(manager, pattern, message):
    manager.check(spec(log_files=("train.log", "logs/**/*.log", "a..b")), PROGRAM)
    with pytest.raises(InvalidRequest) as caught:
        manager.check(spec(log_files=("train.log", pattern)), PROGRAM)
    [problem] = caught.value.problems
    assert problem.field == "log_files.1"
    assert message in str(problem)


def test_files_that_the_job_names_are_read_before_the_output_and_tensorboard_after_it(manager):
    order = [entry["kind"] for entry in manager.log_parser(spec(log_files=("a", "b")))["sources"]]
    assert order == ["val_dict_list", "evaluation_metrics", "text", "text", "output", "tensorboard"]


@pytest.mark.parametrize(
    ("form", "words"),
    [
        (Arguments.FLAGS, ("--drop_out", "0.5", "--mode=-x", "--on", "true", "--low", "-0.00001")),
        (Arguments.DASHES, ("--drop-out", "0.5", "--mode=-x", "--on", "true", "--low", "-0.00001")),
        (Arguments.PAIRS, ("drop_out=0.5", "mode=-x", "on=true", "low=-0.00001")),
        (Arguments.NONE, ()),
    ],
)
def test_arguments_are_written_as_the_program_takes_them(manager, form, words):
    params = {"drop_out": 0.5, "mode": "-x", "on": True, "low": -1e-5}
    prepared = manager.prepare(spec(arguments=form), trial(**params), ())
    assert prepared.argv == ("python", "train.py", *words)
    assert prepared.merged == {"config.json": params}
    assert json.loads(prepared.files["params.json"]) == params


def test_parameters_arrive_three_ways(manager):
    params = {"lr": 1e-5, "width": 64, "nesterov": True, "optimizer": "ad am"}
    preparation = manager.prepare(spec("python train.py --epochs '3 4'"), trial(**params), ())
    assert preparation.argv == (
        *("python", "train.py", "--epochs", "3 4"),
        *("--lr", "1e-05", "--width", "64", "--nesterov", "true", "--optimizer", "ad am"),
    )
    assert json.loads(preparation.files["params.json"]) == params
    assert preparation.environment["TUNING_PARAM_LR"] == "1e-05"
    assert preparation.environment["TUNING_PARAM_NESTEROV"] == "true"


@pytest.mark.parametrize("value", [-1e-5, -0.5, 1e-300, -1e300, 0.1 + 0.2, -3])
def test_numbers_pass_through_argparse_unchanged(manager, value):
    parser = argparse.ArgumentParser()
    parser.add_argument("--x", type=type(value))
    argv = manager.prepare(spec(), trial(x=value), ()).argv
    assert parser.parse_args(argv[2:]).x == value


def test_a_value_that_looks_like_an_option_stays_a_value(manager):
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode")
    argv = manager.prepare(spec(), trial(mode="--fast"), ()).argv
    assert parser.parse_args(argv[2:]).mode == "--fast"


def test_cpus_bound_the_threads(manager):
    environment = manager.prepare(spec(cpus=3), trial(), ()).environment
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
        assert environment[name] == "3"


def test_parser_reads_what_the_job_asks_for(manager):
    job = spec(patterns=[r"=> (?P<val_accuracy>\S+)"])
    parser = build_parser(json.loads(json.dumps(manager.log_parser(job))))
    readings = [r for line in ("=> 0.5", '{"val_accuracy": 0.6}', "val_accuracy: 0.7") for r in parser.feed(line)]
    assert [(r.metric, r.value) for r in readings] == [("val_accuracy", v) for v in (0.5, 0.6, 0.7)]


def test_managers_say_what_they_are_for():
    assert set(frameworks()) == {"caffe", "command", "pytorch", "tensorflow"}
    assert {name: manager.name for name, manager in frameworks().items()} == {name: name for name in frameworks()}
    assert all(manager.summary for manager in frameworks().values())
