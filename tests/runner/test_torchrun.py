"""Several processes for one trial: real training with gloo, through the real runner, on made-up GPU addresses."""

import os

import pytest

from tests.machine import with_mark
from tests.samples import a_job, a_spec, a_trial
from tuning_service.domain.job import Resources
from tuning_service.domain.state import Decision, TaskStatus
from tuning_service.domain.trial import FaultKind
from tuning_service.frameworks import frameworks
from tuning_service.runner.training import Exit
from tuning_service.runner.verdict import Training, judge

MARK = os.urandom(8).hex()
TRAIN = """
import os, sys
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

dist.init_process_group("gloo")
rank = dist.get_rank()
assert dist.get_world_size() == 2
torch.manual_seed(0)
model = DistributedDataParallel(torch.nn.Linear(4, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=float(sys.argv[sys.argv.index("--lr") + 1]))
data = torch.randn(32, 4, generator=torch.Generator().manual_seed(rank))
wanted = data.sum(1, keepdim=True)
for step in range(20):
    if FAILING == (rank, step):
        raise ValueError(f"rank {rank} does not like this")
    loss = torch.nn.functional.mse_loss(model(data), wanted)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"step={step} loss={loss.item():.6f} rank_id={rank}", flush=True)
print("threads", torch.get_num_threads(), file=sys.stderr)
weights = [torch.empty(4) for _ in range(2)]
dist.all_gather(weights, model.module.weight.detach()[0])
print("equal_weights=", float(torch.equal(*weights)), sep="", flush=True)
del model  # it holds the group, whose threads now and then abort a process that ends before they do
dist.destroy_process_group()
"""


@pytest.fixture
def train(run):
    def train(code=TRAIN, failing=None, command="python train.py"):
        spec = a_spec(framework="pytorch", command=command, resources=Resources(cpus=2, gpus=2))
        trial = a_trial(a_job(spec=spec), params={"lr": 0.1})
        prepared = frameworks()["pytorch"].prepare(spec, trial, ("4", "7"))
        return run(
            code.replace("FAILING", repr(failing)),
            argv=prepared.argv,
            environment={**prepared.environment, "UNDER_TEST": MARK},
            imports=prepared.imports,
            gpus=("4", "7"),
        )

    return train


def test_two_gpus_get_two_processes_that_train_one_model(train, room):
    outcome = train()
    assert (outcome.status, outcome.reason) == (TaskStatus.SUCCEEDED, ""), room.log
    losses = [value for metric, _, value in room.measurements if metric == "loss"]
    # Both processes print, and only what the first one says is measured.
    assert len(losses) == 20
    assert losses[-1] < 0.5 * losses[0]
    assert {value for metric, _, value in room.measurements if metric == "rank_id"} == {0.0}
    assert [value for metric, _, value in room.measurements if metric == "equal_weights"] == [1.0]
    assert "[default1]:threads 1" in room.log.splitlines()
    assert "threads 1" in room.log.splitlines()


@pytest.mark.parametrize("rank", [pytest.param(0, marks=pytest.mark.heavy), 1])
def test_a_process_that_dies_ends_the_trial_with_its_traceback(train, room, rank):
    outcome = train(failing=(rank, 3))
    assert (outcome.status, outcome.fault) == (TaskStatus.FAILED, FaultKind.PROGRAM)
    assert outcome.reason == f"exit code 1: ValueError: rank {rank} does not like this", room.log
    assert with_mark(MARK) == []
    assert "loss" in {metric for metric, _, _ in room.measurements}


FIRST_FAILED = """
Traceback (most recent call last):
  File "train.py", line 18, in <module>
ValueError: the first one
[default1]:[rank1]: Traceback (most recent call last):
[default1]:[rank1]:   File "train.py", line 21, in <module>
[default1]:[rank1]: RuntimeError: Connection closed by peer
E1121 torch/distributed/elastic/multiprocessing/api.py:1010] failed (exitcode: 1) local_rank: 0 (pid: 24)
Traceback (most recent call last):
  File "run.py", line 998, in <module>
torch.distributed.elastic.multiprocessing.errors.ChildFailedError:
============================================================
train.py FAILED
Root Cause (first observed failure):
[0]:
  time      : 2026-01-01_00:00:00
  host      : here
  rank      : RANK (local_rank: RANK)
  exitcode  : 1 (pid: 24)
"""


def reason_of(log_tail):
    ended = Training(
        exit=Exit(code=1),
        decision=Decision.CONTINUE,
        missing=(),
        never_finite=(),
        explain=str,
        log_tail=log_tail,
        elapsed_s=1.0,
        time_limit_s=None,
    )
    return judge(ended).reason


@pytest.mark.parametrize(
    ("rank", "reason"), [("0", "ValueError: the first one"), ("1", "RuntimeError: Connection closed by peer")]
)
def test_of_several_tracebacks_the_one_of_the_process_that_failed_first_counts(rank, reason):
    assert reason_of(FIRST_FAILED.replace("RANK", rank)) == f"exit code 1: {reason}"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("-9", "process 2 was killed by SIGKILL; the memory may have run out"),
        ("-11", "process 2 was killed by SIGSEGV"),
        ("7", "process 2 ended with exit code 7"),
    ],
)
def test_a_process_that_dies_in_silence_is_named_and_not_what_the_others_say_of_it(code, said):
    text = FIRST_FAILED.replace("RANK", "2").replace("exitcode  : 1", f"exitcode  : {code}")
    assert reason_of(text) == f"exit code 1: {said}"


def test_an_error_without_a_traceback_is_found_before_that_of_torchrun():
    begin = FIRST_FAILED.index("E1121")
    text = '  File "train.py", line 1\n    def x(:\nSyntaxError: invalid syntax\n' + FIRST_FAILED[begin:]
    for log in (text, text.replace("SyntaxError", "[default0]:SyntaxError"), text.replace("RANK", "0")):
        assert reason_of(log.replace("RANK", "1")) == "exit code 1: SyntaxError: invalid syntax"
    silent = FIRST_FAILED[begin:].replace("RANK", "1")
    assert reason_of(silent) == "exit code 1: process 1 ended with exit code 1"
