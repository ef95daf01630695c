import errno
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given
from hypothesis import strategies as st

from tuning_service.domain.errors import GiveUp, NotFound, TryAgain
from tuning_service.storage.artifacts import ArtifactStore


@pytest.fixture
def artifacts(tmp_path):
    return ArtifactStore(str(tmp_path / "artifacts"))


def test_a_store_of_an_unknown_kind_is_refused_with_its_address():
    with pytest.raises(GiveUp, match="'nonsense://a' cannot be used: Protocol not known"):
        ArtifactStore("nonsense://a")


def files_below(folder):
    return [p for p in folder.rglob("*") if p.is_file()]


def test_a_program_comes_back_to_its_tenant_alone_until_it_is_deleted(artifacts):
    data = bytes(range(256)) * 100
    artifacts.put_program("tenant_a", "d" * 64, data)
    artifacts.put_program("tenant_a", "d" * 64, data)
    assert artifacts.program("tenant_a", "d" * 64) == data
    with pytest.raises(NotFound):
        artifacts.program("tenant_b", "d" * 64)
    artifacts.delete_program("tenant_a", "d" * 64)
    artifacts.delete_program("tenant_a", "d" * 64)
    with pytest.raises(NotFound):
        artifacts.program("tenant_a", "d" * 64)


def test_many_that_store_the_same_program_leave_it_whole_and_nothing_else(artifacts, tmp_path):
    data = b"x" * 300_000
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(artifacts.put_program, "t", "d", data) for _ in range(40)]:
            done.result(60)
    assert artifacts.program("t", "d") == data
    assert len(files_below(tmp_path)) == 1


@given(
    pieces=st.lists(st.binary(min_size=1, max_size=9), max_size=6),
    start=st.integers(0, 60),
    length=st.integers(0, 60),
)
def test_any_range_of_a_log_reads_as_if_it_were_one_file(tmp_path_factory, pieces, start, length):
    artifacts = ArtifactStore(str(tmp_path_factory.mktemp("artifacts")))
    offset = 0
    for piece in pieces:
        artifacts.put_log("t", "j", "k", offset, piece)
        offset += len(piece)
    assert artifacts.log("t", "j", "k", start, length) == b"".join(pieces)[start : start + length]


def test_a_piece_that_is_delivered_again_is_not_read_twice(artifacts):
    for offset, piece in ((0, b"abc"), (3, b"def"), (0, b"abc"), (3, b"def")):
        artifacts.put_log("t", "j", "k", offset, piece)
    assert artifacts.log("t", "j", "k", 0, 100) == b"abcdef"


def test_a_piece_that_is_being_written_does_not_disturb_readers(artifacts, tmp_path):
    artifacts.put_log("t", "j", "k", 0, b"abc")
    [piece] = files_below(tmp_path)
    piece.with_name(f"{3:012d}.0123.part").write_bytes(b"d")
    assert artifacts.log("t", "j", "k", 0, 100) == b"abc"


def test_a_new_reader_sees_what_another_process_wrote(artifacts, tmp_path):
    other = ArtifactStore(str(tmp_path / "artifacts"))
    assert other.log("t", "j", "k", 0, 9) == b""
    artifacts.put_log("t", "j", "k", 0, b"abc")
    assert other.log("t", "j", "k", 0, 9) == b"abc"
    artifacts.put_log("t", "j", "k", 3, b"def")
    assert other.log("t", "j", "k", 2, 9) == b"cdef"


def test_a_deleted_job_leaves_no_file_and_other_jobs_alone(artifacts, tmp_path):
    artifacts.put_log("t", "gone", "k", 0, b"abc")
    artifacts.put_log("t", "kept", "k", 0, b"xyz")
    artifacts.delete_job("t", "gone")
    artifacts.delete_job("t", "gone")
    assert artifacts.log("t", "gone", "k", 0, 9) == b""
    assert artifacts.log("t", "kept", "k", 0, 9) == b"xyz"
    assert len(files_below(tmp_path)) == 1


def test_an_object_store_does_as_well():
    artifacts = ArtifactStore("memory://bucket/folder")
    artifacts.put_program("t", "d", b"program")
    artifacts.put_log("t", "j", "k", 0, b"abc")
    artifacts.put_log("t", "j", "k", 3, b"def")
    assert artifacts.program("t", "d") == b"program"
    assert artifacts.log("t", "j", "k", 1, 4) == b"bcde"
    artifacts.delete_job("t", "j")
    assert artifacts.log("t", "j", "k", 0, 9) == b""


def test_an_object_store_gets_no_options_that_are_for_folders(monkeypatch):
    # s3fs hands on what it does not know to a library that refuses it.
    def strict(self, *args, **options):
        assert options == {}
        plain(self, *args)

    plain = MemoryFileSystem.__init__
    monkeypatch.setattr(MemoryFileSystem, "__init__", strict)
    monkeypatch.setattr(MemoryFileSystem, "cachable", False)
    ArtifactStore("memory://strict/folder").put_program("t", "d", b"program")


def test_a_full_disk_keeps_nothing_of_what_was_being_written(artifacts, tmp_path, monkeypatch):
    def fills_up(path, data):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(data[:2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(artifacts._fs, "pipe_file", fills_up)
    with pytest.raises(TryAgain, match="no room"):
        artifacts.put_program("t", "d", b"program")
    assert files_below(tmp_path) == []
    assert not artifacts.has_program("t", "d")


@pytest.mark.parametrize("error", [PermissionError(errno.EACCES, "Permission denied"), OSError(errno.EIO, "broken")])
def test_a_store_that_refuses_writes_says_to_come_again_and_keeps_what_it_has(artifacts, monkeypatch, error):
    artifacts.put_program("t", "d", b"program")

    def refuses(path, data):
        raise error

    monkeypatch.setattr(artifacts._fs, "pipe_file", refuses)
    for put in (lambda: artifacts.put_program("t", "e", b"x"), lambda: artifacts.put_log("t", "j", "k", 0, b"x")):
        with pytest.raises(TryAgain, match="takes no files at present"):
            put()
    assert artifacts.program("t", "d") == b"program"


def test_a_remote_store_that_refuses_writes_says_so_in_the_same_words(monkeypatch):
    artifacts = ArtifactStore("memory://refusing")

    def refuses(path, data):
        raise ConnectionError("the bucket's policy forbids it")

    monkeypatch.setattr(artifacts._fs, "pipe_file", refuses)
    with pytest.raises(TryAgain, match="takes no files at present"):
        artifacts.put_program("t", "d", b"x")


def test_a_piece_that_was_not_stored_leaves_blanks_where_it_was(artifacts):
    artifacts.put_log("t", "j", "k", 0, b"abc")
    artifacts.put_log("t", "j", "k", 5, b"fgh")
    assert artifacts.log("t", "j", "k", 0, 99) == b"abc  fgh"
    assert artifacts.log("t", "j", "k", 4, 3) == b" fg"
    assert artifacts.log("t", "j", "k", 1, 3) == b"bc"
