"""What executions leave beside measurements: samples and files, on each kind of database."""

import hashlib
import itertools

import pytest

from tests.samples import a_task, a_tenant, a_trial, stored_job
from tuning_service.domain.artifact import Artifact, path_problem
from tuning_service.domain.errors import NotFound, TryAgain
from tuning_service.domain.resources import MOST_SAMPLES, ResourceSample, ResourceUse
from tuning_service.storage.artifacts import ArtifactStore


@pytest.fixture
def alice(store):
    return a_tenant(store, "a")


@pytest.fixture
def task(store, alice):
    """A task that a runner has."""
    trial = a_trial(stored_job(store, alice))
    task = a_task(trial)
    with store.write() as unit:
        unit.control.add_trials([trial])
        unit.control.add_tasks([task])
        unit.runner.claim(task, "nonce", 10.0)
        return unit.runner.task(task.id)


def report(store, task, **use):
    with store.write() as unit:
        unit.runner.report(unit.runner.task(task.id, lock=True), (), 0, 11.0, resources=ResourceUse(**use))


def sample(elapsed_s, **changes):
    known = {"cpu": 1.5, "memory_bytes": 2**40, "threads": 9, "gpu_memory_bytes": (2**36, None)}
    return ResourceSample(elapsed_s=float(elapsed_s), gpu_utilisation=(0.5, None), **known | changes)


def samples_of(store, task):
    with store.read() as unit:
        return unit.resources.of(task.id)


def test_samples_come_back_as_they_were_once_each_and_totals_never_shrink(store, task):
    assert samples_of(store, task) == []
    report(store, task, samples=(sample(1), sample(5)), peak_memory_bytes=2**41, cpu_s=7.5)
    report(store, task, samples=(sample(5), sample(10)), peak_memory_bytes=2**40, cpu_s=7.0)
    report(store, task)
    assert samples_of(store, task) == [sample(1), sample(5), sample(10)]
    with store.read() as unit:
        stored = unit.runner.task(task.id)
    assert (stored.peak_memory_bytes, stored.cpu_s) == (2**41, 7.5)


def test_however_many_samples_come_few_are_stored(store, task):
    for begin in range(0, 2000, 100):
        report(store, task, samples=tuple(sample(begin + t) for t in range(100)))
    kept = samples_of(store, task)
    assert MOST_SAMPLES / 4 < len(kept) < MOST_SAMPLES
    assert kept[-1].elapsed_s > 1900
    assert {s.memory_bytes for s in kept} == {2**40}


def artifact(path, size=100):
    return Artifact(path=path, bytes=size, sha256="0" * 64, created_at=5.0)


def test_artifacts_are_listed_by_path_and_counted_as_stored_until_their_job_goes(store, alice, task):
    def stored_bytes():
        with store.read() as unit:
            return unit.for_tenant(alice).usage.storage_bytes()

    before = stored_bytes()
    with store.write() as unit:
        for path, size in (("b", 2**33), ("a/ü", 1), ("b", 2**34)):
            unit.artifacts.put(task.id, artifact(path, size))
    with store.read() as unit:
        assert unit.artifacts.of(task.id) == [artifact("a/ü", 1), artifact("b", 2**34)]
        assert unit.artifacts.of(task.id, after="a/ü", limit=5) == [artifact("b", 2**34)]
        assert unit.artifacts.of(task.id, limit=1) == [artifact("a/ü", 1)]
        assert unit.artifacts.find(task.id, "c") is None
        assert unit.artifacts.total(task.id) == (2**34 + 1, 2)
        assert unit.artifacts.total(task.id, without="b") == (1, 1)
        assert unit.runner.task(task.id).artifact_bytes == 2**34 + 1
    assert stored_bytes() == before + 2**34 + 1
    report(store, task, samples=(sample(1),))
    with store.write() as unit:
        unit.control.delete_job(task.job_id)
    with store.read() as unit:
        assert unit.artifacts.of(task.id) == []
        assert unit.resources.of(task.id) == []
    assert stored_bytes() == before


@pytest.mark.parametrize("url", ["{folder}/store", "memory://artifacts-of-a-test"])
def test_a_file_is_stored_whole_or_not_at_all(url, tmp_path):
    artifacts = ArtifactStore(url.format(folder=tmp_path))
    place = ("t", "job", "task")

    def read(path="../../model.pt"):
        return b"".join(artifacts.artifact(*place, path))

    writer = artifacts.write_artifact(*place, "../../model.pt")  # which is only a name to the store
    writer.write(b"abc")
    with pytest.raises(NotFound):
        artifacts.artifact(*place, "../../model.pt")
    writer.write(b"def")
    writer.keep()
    assert read() == b"abcdef"
    for end in ("drop", "keep"):
        writer = artifacts.write_artifact(*place, "../../model.pt")
        writer.write(b"new")
        getattr(writer, end)()
        assert read() == {"drop": b"abcdef", "keep": b"new"}[end]
    artifacts.write_artifact(*place, "half").drop()
    assert all(p.name.startswith(hashlib.sha256(b"../../model.pt").hexdigest()) for p in tmp_path.rglob("*/task/*"))
    artifacts.delete_artifact(*place, "half")
    artifacts.delete_job("t", "job")
    with pytest.raises(NotFound):
        artifacts.artifact(*place, "../../model.pt")
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_a_large_file_comes_back_in_pieces(tmp_path):
    artifacts = ArtifactStore(str(tmp_path))
    data = [bytes([i]) * 2**19 for i in range(9)]
    writer = artifacts.write_artifact("t", "j", "k", "p")
    for piece in data:
        writer.write(piece)
    writer.keep()
    pieces = list(artifacts.artifact("t", "j", "k", "p"))
    assert b"".join(pieces) == b"".join(data)
    assert max(map(len, pieces)) <= 2**20


def test_a_store_without_room_says_so(tmp_path, monkeypatch):
    artifacts = ArtifactStore(str(tmp_path))
    writer = artifacts.write_artifact("t", "j", "k", "p")
    monkeypatch.setattr(writer._fs, "mv", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(TryAgain, match="no room"):
        writer.keep()
    writer.drop()
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


GOOD = ["model.pt", "a/b/c", "ü/模型.bin", "with space & ?#%.txt", ".hidden", "x" * 255, "..."]
BAD = [
    "",
    "/etc/passwd",
    "a//b",
    "a/",
    "./a",
    "a/../b",
    "..",
    "a\\b",
    "a\nb",
    "a\x00b",
    "\udcff",
    "x" * 256,
    "y/" * 300,
]


@pytest.mark.parametrize(("path", "good"), [*zip(GOOD, itertools.repeat(True)), *zip(BAD, itertools.repeat(False))])
def test_paths_that_are_safe_anywhere(path, good):
    assert (path_problem(path) == "") is good
