"""What the managers of PyTorch and TensorFlow start, and what around it."""

import pytest

from tests.samples import a_job, a_spec, a_trial
from tuning_service.domain.job import Resources
from tuning_service.frameworks import frameworks


def prepared(framework, command, *, gpus=(), cpus=1):
    spec = a_spec(framework=framework, command=command, resources=Resources(cpus=cpus, gpus=len(gpus)))
    return frameworks()[framework].prepare(spec, a_trial(a_job(spec=spec)), gpus)


LAUNCHED = "-m torch.distributed.run --standalone --nproc-per-node 3 --redirects 1:1,2:1 --tee 1:2,2:2"


@pytest.mark.parametrize(
    ("command", "argv"),
    [
        ("python train.py -m x", f"python {LAUNCHED} --log-dir .torchrun-logs train.py -m x --lr 0.01"),
        ("python3 -u -X dev app", f"python3 -u -X dev {LAUNCHED} --log-dir .torchrun-logs app --lr 0.01"),
        ("python -m pkg.train", f"python {LAUNCHED} --log-dir .torchrun-logs --module pkg.train --lr 0.01"),
        ("python -um pkg.train", f"python -u {LAUNCHED} --log-dir .torchrun-logs --module pkg.train --lr 0.01"),
    ],
)
def test_a_pytorch_program_is_started_once_for_each_gpu(command, argv):
    assert prepared("pytorch", command, gpus=("0", "1", "5")).argv == tuple(argv.split())
    assert prepared("pytorch", command, gpus=("5",)).argv == (*command.split(), "--lr", "0.01")
    assert prepared("pytorch", command).argv == (*command.split(), "--lr", "0.01")


@pytest.mark.parametrize(
    "command",
    [
        "torchrun --nproc-per-node 2 train.py",
        "accelerate launch train.py",
        "python -m torch.distributed.run train.py",
        "python -m accelerate.commands.launch train.py",
        "env python train.py",
        "python3.11 train.py",
        "python -c 'print(1)'",
        "sh run.sh",
    ],
)
def test_what_starts_processes_by_itself_or_says_so_is_left_alone(command):
    two, none = prepared("pytorch", command, gpus=("0", "1"), cpus=4), prepared("pytorch", command, cpus=4)
    assert two.argv == none.argv
    assert two.environment["OMP_NUM_THREADS"] == "4"


def test_processes_of_one_trial_share_its_cpus():
    def threads(cpus):
        return prepared("pytorch", "python train.py", gpus=("0", "1"), cpus=cpus).environment["OMP_NUM_THREADS"]

    assert [threads(cpus) for cpus in (1, 2, 5, 8)] == ["1", "1", "2", "4"]


def test_tensorflow_is_told_its_threads_and_to_share_the_gpu():
    preparation = prepared("tensorflow", "python train.py", cpus=3)
    expected = {
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TF_NUM_INTRAOP_THREADS": "3",
        "TF_NUM_INTEROP_THREADS": "3",
        "OMP_NUM_THREADS": "3",
    }
    assert {name: preparation.environment[name] for name in expected} == expected
    assert "KERAS_BACKEND" not in preparation.environment
    assert prepared("tensorflow", "python -m pkg.train").modules == ("tensorflow",)
    # Nothing is known beforehand of the interpreter that these will use.
    assert prepared("tensorflow", "sh run.sh").modules == prepared("tensorflow", "env python x.py").modules == ()


def test_whether_a_pytorch_program_needs_torch_shows_when_it_runs():
    preparation = prepared("pytorch", "python train.py")
    assert preparation.modules == ()
    assert "torch" in preparation.imports
