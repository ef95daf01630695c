"""What a training uses is sampled and told, and never costs it anything."""

import os
import subprocess
import sys
import time

import pytest

from tests.machine import is_running
from tests.waiting import wait_for
from tuning_service.domain.resources import MOST_SAMPLES, ResourceSample, thinned
from tuning_service.domain.state import TaskStatus
from tuning_service.runner import gpus, resources
from tuning_service.runner.processes import ProcessTree
from tuning_service.runner.protocol import Report
from tuning_service.runner.resources import ResourceSampler

MIB = 2**20
# Holds 60 MiB, and so does its child, which computes for a third of a second and ends while its parent waits.
GREEDY = """
import subprocess, sys, time
held = bytearray(60 * 2**20)
if len(sys.argv) == 1:
    subprocess.run([sys.executable, __file__, "child"])
    print("loss=1", flush=True)
else:
    end = time.process_time() + 0.35
    while time.process_time() < end: pass
"""


def used(room):
    """All that was reported: the samples, and the last totals."""
    told = [report.resources for report in room.reports if report.resources]
    return [sample for use in told for sample in use.samples], told[-1]


def cpu_s_of(samples):
    """What was computed until the last of them, by their word."""
    begins = [0.0, *(sample.elapsed_s for sample in samples[:-1])]
    return sum(sample.cpu * (sample.elapsed_s - begin) for sample, begin in zip(samples, begins, strict=True))


@pytest.fixture
def often(monkeypatch):
    monkeypatch.setattr(resources, "_FIRST_S", 0.05)
    monkeypatch.setattr(resources, "FIRST_INTERVAL_S", 0.05)


def test_cpu_and_memory_of_all_processes_are_reported_with_their_peaks(run, room, often):
    assert run(GREEDY).status is TaskStatus.SUCCEEDED
    samples, total = used(room)
    assert max(sample.memory_bytes for sample in samples) > 120 * MIB
    assert total.peak_memory_bytes >= max(sample.memory_bytes for sample in samples)
    assert total.cpu_s >= 0.35
    assert [s.elapsed_s for s in samples] == sorted({s.elapsed_s for s in samples})
    # What came after the last sample is in none; how much of a core it had is the machine's affair.
    assert 0.1 * total.cpu_s < cpu_s_of(samples) < total.cpu_s + 0.1


def test_a_training_that_was_over_before_the_first_sample_has_its_peak_and_cpu_time_all_the_same(run, room):
    run("held = bytearray(90 * 2**20); print('loss=1')")
    samples, total = used(room)
    assert samples == []
    assert 90 * MIB < total.peak_memory_bytes < 200 * MIB
    assert 0 < total.cpu_s < 10
    run("print('loss=1')")  # by the same supervisor
    assert used(room)[1].peak_memory_bytes < 60 * MIB


def test_a_death_for_want_of_memory_tells_the_peak(run):
    outcome = run("held = bytearray(80 * 2**20); import os; os.kill(os.getpid(), 9)")
    assert "At its peak it used 9" in outcome.explanation or "At its peak it used 8" in outcome.explanation
    outcome = run("held = bytearray(80 * 2**20); raise MemoryError")
    assert outcome.failure == "out of memory"
    assert "MiB of the executor's memory" in outcome.explanation
    assert "peak" not in run("raise ValueError('bad lr')").explanation


def test_a_report_with_resources_is_read_by_every_version():
    sample = ResourceSample(elapsed_s=1.0, cpu=0.5, memory_bytes=7, gpu_memory_bytes=(None,), gpu_utilisation=(0.25,))
    report = Report(resources=resources.ResourceUse(samples=(sample,), peak_memory_bytes=7, cpu_s=0.5))
    assert Report.from_json(report.to_json()) == report
    data = Report().to_json()
    assert "resources" not in data
    assert Report.from_json(data | {"of a later version": 1}) == Report()


@pytest.mark.parametrize(
    "change", [{"memory_bytes": -1}, {"cpu": "nan"}, {"elapsed_s": 1e300}, {"gpu_memory_bytes": [2**60]}]
)
def test_what_no_machine_uses_is_refused(change):
    sample = ResourceSample(elapsed_s=1.0, cpu=0.5, memory_bytes=7)
    data = Report(resources=resources.ResourceUse(samples=(sample,))).to_json()
    data["resources"]["samples"] = [data["resources"]["samples"][0] | change]
    with pytest.raises(ValueError, match="no amount"):
        Report.from_json(data)


def test_few_samples_are_left_of_many_and_their_peaks_stay():
    samples = [ResourceSample(elapsed_s=float(t + 1), cpu=t % 2, memory_bytes=100, threads=3) for t in range(5000)]
    samples[1234] = ResourceSample(elapsed_s=1235.0, cpu=1.0, memory_bytes=999, gpu_memory_bytes=(5, None))
    kept = []
    for sample in samples:
        kept = thinned([*kept, sample])
        assert len(kept) < MOST_SAMPLES
    assert kept[-1].elapsed_s > 4950
    assert max(s.memory_bytes for s in kept) == 999
    assert [s.gpu_memory_bytes for s in kept if s.gpu_memory_bytes] == [(5, None)]
    assert cpu_s_of(kept) == pytest.approx(2500, rel=0.02)


def test_the_interval_grows_so_that_a_long_training_sends_few_samples(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(resources.time, "monotonic", lambda: now[0])
    sampler = ResourceSampler(os.getpid(), ())
    times = []
    for _ in range(600):
        now[0] += sampler.due_in()
        times += [sample.elapsed_s for sample in sampler.poll().samples]
    assert times[:3] == [1.0, 5.0, 10.0]
    assert times[-1] > 2.5 * 3600  # with a steady interval it would be less than an hour
    assert len(times) == 600


def test_cpu_time_of_processes_that_ended_between_two_looks_counts():
    tree = ProcessTree(os.getpid())
    burn = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    subprocess.run([sys.executable, "-c", burn], check=True)
    assert tree.look().cpu_s >= 0.28


FAKE = """#!/bin/sh
echo "$*" >> {folder}/asked
{answer}
"""


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """Puts a program of this name in the PATH; what it was asked."""
    monkeypatch.setattr(gpus, "_hung_at", -1e9)

    def install(answer):
        folder = tmp_path / "bin"
        folder.mkdir()
        path = folder / "nvidia-smi"
        path.write_text(FAKE.format(folder=folder, answer=answer))
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        return folder / "asked"

    return install


SLEEPY = "import time; print('loss=1', flush=True); time.sleep(0.6)"


def test_gpus_are_sampled_in_the_trainings_order(run, room, often, nvidia_smi, monkeypatch):
    monkeypatch.setattr(resources, "_LOOK_S", 0.02)
    asked = nvidia_smi("echo '0, GPU-a, 1024, 35'; echo '3, GPU-b, 2048, [N/A]'")
    assert run(SLEEPY, gpus=("3", "GPU-a", "9")).status is TaskStatus.SUCCEEDED
    assert "--id=3,GPU-a,9" in asked.read_text()
    samples, _ = used(room)
    assert (2048 * MIB, 1024 * MIB, None) in [s.gpu_memory_bytes for s in samples]
    assert (None, 0.35, None) in [s.gpu_utilisation for s in samples]


@pytest.mark.parametrize(("answer", "most"), [("exit 6", 1), ("echo nonsense", 99), ("exec sleep 60", 1)])
def test_a_broken_or_hanging_nvidia_smi_harms_nothing_and_is_left_alone(
    run, room, often, nvidia_smi, monkeypatch, answer, most
):
    monkeypatch.setattr(resources, "_LOOK_S", 0.02)
    monkeypatch.setattr(gpus, "_PATIENCE_S", 0.1)
    asked = nvidia_smi(answer)
    begun = time.monotonic()
    assert run(SLEEPY, gpus=("0",)).status is TaskStatus.SUCCEEDED
    assert time.monotonic() - begun < 30
    assert 1 <= len(asked.read_text().splitlines()) <= most
    samples, _ = used(room)
    assert len(samples) > 1
    assert {gpu for s in samples for gpu in s.gpu_memory_bytes} <= {None}


def test_where_nothing_can_be_sampled_trainings_run_as_ever(run, room, monkeypatch):
    monkeypatch.setattr(resources, "ProcessTree", lambda root: (_ for _ in ()).throw(FileNotFoundError("/proc")))
    assert run("print('loss=1')").status is TaskStatus.SUCCEEDED
    assert used(room)[1].cpu_s > 0  # which the supervisor tells


def test_no_nvidia_smi_is_left_when_a_training_ends(run, often, nvidia_smi, tmp_path):
    nvidia_smi(f"echo $$ > {tmp_path}/pid; exec sleep 60")
    run(SLEEPY, gpus=("0",))
    pid = int((tmp_path / "pid").read_text())
    wait_for(lambda: not is_running(pid), within_s=10)
