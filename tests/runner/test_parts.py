"""The runner's parts that have a contract of their own: lines, log window, thinning, spool, cache, workspace."""

import io
import os
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuning_service.domain.trial import Measurement
from tuning_service.runner.bundle import BundleLimits, digest, inspect
from tuning_service.runner.lines import LogWindow
from tuning_service.runner.spool import Spool
from tuning_service.runner.thinning import Thinner
from tuning_service.runner.workspace import ProgramCache, Workspace


def uploaded(parts, limit):
    window = LogWindow(limit)
    text = ""
    for part in parts:
        window.feed(part)
        text += window.ready()
        window.taken()
    window.finish()
    return text + window.ready()


@settings(max_examples=200)
@given(st.lists(st.text(max_size=30), max_size=30), st.integers(2, 200))
def test_uploaded_log_is_beginning_and_end_of_what_was_printed(texts, limit):
    printed = "".join(texts).replace("\0", "\ufffd")
    text = uploaded([part.encode() for part in texts], limit)
    if len(printed.encode()) <= limit // 2 * 2 - 3:  # up to three bytes, as no character is cut
        assert text == printed
        return
    first, marker, last = text.partition("\n[… ")
    if marker:
        last = last.partition("left out …]\n")[2]
        assert printed.startswith(first)
        assert printed.endswith(last)
        assert len((first + last).encode()) <= limit


def test_characters_that_arrive_in_two_pieces_are_whole():
    data = "ä€😀".encode() * 10
    assert uploaded([data[i : i + 1] for i in range(len(data))], 10_000) == "ä€😀" * 10


def test_marker_says_how_much_is_missing():
    assert uploaded([b"a" * 10, b"b" * 100, b"c" * 10], 20) == "a" * 10 + "\n[… 100 bytes left out …]\n" + "c" * 10


def point(step, value, metric="loss"):
    return Measurement(step=step, metric=metric, value=value, elapsed_s=0.0)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 30_000), st.integers(1, 9973))
def test_thinning_keeps_least_greatest_and_last(count, stride):
    points = [point(i, float(i * stride % 9973)) for i in range(count)]
    thinner = Thinner()
    kept = [p for p in points if thinner.keep(p)]
    kept += thinner.finish()
    assert kept[:1000] == points[:1000]
    if points:
        assert min(p.value for p in kept) == min(p.value for p in points)
        assert max(p.value for p in kept) == max(p.value for p in points)
        assert kept[-1] == points[-1]


@pytest.mark.parametrize("odd", [float("inf"), float("-inf"), float("nan")])
def test_numbers_that_are_none_hide_no_least_greatest_or_last(odd):
    thinner = Thinner()
    values = [odd, *[5.0] * 3000, 9.0, 5.0, 1.0, 5.0, 7.0, odd]
    points = [point(i, value) for i, value in enumerate(values)]
    kept = [p for p in points if thinner.keep(p)]
    kept += thinner.finish()
    assert {9.0, 1.0, 7.0} <= {p.value for p in kept}
    assert kept[-1] is points[-1]


def test_the_point_of_the_highest_step_is_kept_when_steps_begin_anew():
    thinner = Thinner()
    points = [point(i, 5.0) for i in range(3002)] + [point(i, 5.0) for i in range(11)]
    kept = [p for p in points if thinner.keep(p)] + list(thinner.finish())
    assert max(p.step for p in kept) == 3001
    assert kept[-1] is points[-1]


def test_a_million_points_become_some_thousand():
    thinner = Thinner()
    kept = sum(thinner.keep(point(i, float(i % 7))) for i in range(1_000_000))
    assert 1000 < kept < 15_000


@settings(max_examples=50, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=50), st.none()), max_size=40))
def test_spool_gives_back_in_order(tmp_path_factory, moves):
    """Bytes are appended, None takes one away."""
    spool = Spool(tmp_path_factory.mktemp("spool") / "file")
    expected = []
    for move in moves:
        if move is not None:
            assert spool.append(move)
            expected.append(move)
        elif expected:
            assert spool.head() == expected.pop(0)
            spool.pop()
        assert bool(spool) == bool(expected)
    spool.close()


def test_what_a_training_deletes_in_its_temporary_folder_is_not_lost(tmp_path):
    spool = Spool(tmp_path / "file")
    items = [b"first", b"second", b"third"]
    for item in items:
        assert spool.append(item)
        (tmp_path / "file").unlink(missing_ok=True)
    for item in items:
        assert spool.head() == item
        spool.pop()
    assert not spool


def test_full_spool_refuses_all_but_the_last(tmp_path):
    spool = Spool(tmp_path / "file", limit=100)
    assert [spool.append(bytes(60)) for _ in range(3)] == [True, True, False]
    assert spool.append(b"outcome", last=True)
    spool.pop()
    spool.pop()
    assert spool.head() == b"outcome"
    spool.pop()
    assert not spool


def test_spool_without_a_disk_keeps_the_outcome(tmp_path):
    spool = Spool(tmp_path / "absent" / "file")
    assert spool.append(b"1")
    assert not spool.append(b"2")
    assert spool.append(b"outcome", last=True)
    spool.pop()
    assert spool.head() == b"outcome"


@pytest.fixture
def cache(tmp_path):
    return ProgramCache(tmp_path / "programs", limit=250)


def test_cache_drops_what_was_used_longest_ago(cache, tmp_path):
    bundles = [bytes([i]) * 100 for i in range(3)]
    for age, data in enumerate(bundles[:2]):
        cache.put(digest(data), data)
        os.utime(tmp_path / "programs" / digest(data), (age, age))
    assert cache.get(digest(bundles[0])) == bundles[0]  # used: now the other one is the oldest
    cache.put(digest(bundles[2]), bundles[2])
    assert [cache.get(digest(data)) is not None for data in bundles] == [True, False, True]


def test_cache_gives_nothing_that_was_tampered_with(cache, tmp_path):
    cache.put(digest(b"good"), b"good")
    (tmp_path / "programs" / digest(b"good")).write_bytes(b"evil")
    assert cache.get(digest(b"good")) is None
    assert not list((tmp_path / "programs").iterdir())


def test_program_that_the_service_took_is_unpacked_whatever_its_size(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNING_WORK_DIR", str(tmp_path / "work"))
    count = BundleLimits().files + 1  # a deployment may allow more than the default
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("train.py"))
        folder = tarfile.TarInfo("data")
        folder.type = tarfile.DIRTYPE
        for _ in range(count):
            archive.addfile(folder)
    assert inspect(buffer.getvalue(), BundleLimits(files=2 * count)).files == ("train.py",)

    workspace = Workspace()
    workspace.fill(buffer.getvalue(), {})
    assert (workspace.program / "train.py").exists()
    workspace.remove()
