import contextlib
import gzip
import io
import tarfile
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuning_service.runner.bundle import BadBundle, BundleLimits, digest, inspect, list_files, pack, unpack


def tar_of(*members, mode="w:gz"):
    """`members` are (TarInfo, content or None)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for info, content in members:
            if content is not None:
                info.size = len(content)
            archive.addfile(info, None if content is None else io.BytesIO(content))
    return buffer.getvalue()


def member(name, kind=tarfile.REGTYPE, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def zip_of(*files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def program(tmp_path):
    folder = tmp_path / "program"
    (folder / "pkg").mkdir(parents=True)
    (folder / "train.py").write_text("print('loss=1')\n")
    (folder / "pkg" / "model.py").write_text("")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    return folder


def test_packed_and_unpacked_folder_is_the_same(program, tmp_path):
    (program / "again.py").symlink_to("pkg/model.py")
    data = pack(program)
    unpack(data, tmp_path / "out")
    assert list_files(data) == ["again.py", "pkg/model.py", "run.sh", "train.py"]
    assert (tmp_path / "out/train.py").read_text() == "print('loss=1')\n"
    assert (tmp_path / "out/run.sh").stat().st_mode & 0o111
    assert not (tmp_path / "out/train.py").stat().st_mode & 0o111
    assert (tmp_path / "out/again.py").readlink().as_posix() == "pkg/model.py"


def test_same_files_give_the_same_digest_whenever_packed(program, tmp_path):
    first = digest(pack(program))
    (program / "train.py").touch()
    assert digest(pack(program)) == first
    (program / "train.py").write_text("print('loss=2')\n")
    assert digest(pack(program)) != first


def test_ignored_files_stay_out(program):
    for name in (".git/config", "__pycache__/x.pyc", "data/big.bin", "pkg/x.pyc", "notes.txt"):
        (program / name).parent.mkdir(exist_ok=True)
        (program / name).write_text("x")
    (program / ".tuningignore").write_text("# not needed\ndata/\n*.txt\n")
    assert list_files(pack(program)) == [".tuningignore", "pkg/model.py", "run.sh", "train.py"]


def test_folder_with_link_outside_or_without_files_is_not_packed(program, tmp_path):
    (program / "secret").symlink_to("/etc/passwd")
    with pytest.raises(BadBundle, match="secret"):
        pack(program)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadBundle, match="no files"):
        pack(tmp_path / "empty")
    with pytest.raises(BadBundle, match="not a folder"):
        pack(tmp_path / "absent")


@pytest.mark.parametrize("make", [lambda n: zip_of((n, "x")), lambda n: tar_of((member(n), b"x"), mode="w")])
def test_zip_and_plain_tar_are_accepted(make, tmp_path):
    data = make("pkg/train.py")
    assert inspect(data).files == ("pkg/train.py",)
    assert inspect(data).bytes == 1
    unpack(data, tmp_path / "out")
    assert (tmp_path / "out/pkg/train.py").read_text() == "x"


HOSTILE = {
    "parent": tar_of((member("../evil"), b"x")),
    "parent inside": tar_of((member("a/../../evil"), b"x")),
    "absolute": tar_of((member("/etc/evil"), b"x")),
    "drive": zip_of(("C:\\evil", "x")),
    "zip parent": zip_of(("../evil", "x")),
    "zip absolute": zip_of(("/evil", "x")),
    "backslashes": tar_of((member("..\\evil"), b"x")),
    "link out": tar_of((member("a", tarfile.SYMTYPE, "../evil"), None)),
    "link absolute": tar_of((member("a", tarfile.SYMTYPE, "/etc/passwd"), None)),
    "link through a link": tar_of(
        (member("p/q/l", tarfile.SYMTYPE, "."), None), (member("m", tarfile.SYMTYPE, "p/q/l/../../.."), None)
    ),
    "file below a link": tar_of((member("a", tarfile.SYMTYPE, "b"), None), (member("a/x"), b"x")),
    "link where a folder is": tar_of((member("a/x"), b"x"), (member("a", tarfile.SYMTYPE, "b"), None)),
    "hard link out": tar_of((member("a", tarfile.LNKTYPE, "../evil"), None)),
    "hard link to nothing": tar_of((member("a", tarfile.LNKTYPE, "etc/passwd"), None)),
    "hard link to a link": tar_of((member("l", tarfile.SYMTYPE, "x"), None), (member("a", tarfile.LNKTYPE, "l"), None)),
    "device": tar_of((member("null", tarfile.CHRTYPE), None)),
    "pipe": tar_of((member("pipe", tarfile.FIFOTYPE), None)),
    "twice": tar_of((member("a"), b"x"), (member("a"), b"y")),
    "control character": tar_of((member("a\nb"), b"x")),
    "no archive": b"hello",
    "nothing": b"",
    "only folders": tar_of((member("a", tarfile.DIRTYPE), None)),
    "cut": tar_of((member("a"), bytes(range(256)) * 4000))[:-600],
    "cut tar": tar_of((member("a"), b"x" * 5000), mode="w")[:2000],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_or_damaged_archive_is_refused_and_writes_nothing_outside(name, tmp_path):
    with pytest.raises(BadBundle):
        inspect(HOSTILE[name])
    if name != "only folders":
        with pytest.raises(BadBundle):
            unpack(HOSTILE[name], tmp_path / "deep" / "out")
    assert {p.name for p in tmp_path.rglob("*") if not p.is_relative_to(tmp_path / "deep/out")} <= {"deep"}


def test_links_inside_are_kept(tmp_path):
    data = tar_of(
        (member("data/x"), b"x"),
        (member("code/x", tarfile.SYMTYPE, "../data/x"), None),
        (member("y", tarfile.LNKTYPE, "data/x"), None),
    )
    unpack(data, tmp_path / "out")
    assert (tmp_path / "out/code/x").read_text() == "x"
    assert (tmp_path / "out/y").read_text() == "x"


def test_encrypted_zip_is_refused():
    data = bytearray(zip_of(("train.py", "x")))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(BadBundle, match="encrypted"):
        inspect(bytes(data))


@pytest.mark.parametrize(
    "data",
    [
        tar_of((member("zeros"), bytes(5_000_000))),
        zip_of(("zeros", bytes(5_000_000))),
        tar_of(*((member(f"f{i}"), b"x" * 100_000) for i in range(50))),
    ],
    ids=["tar", "zip", "many"],
)
def test_bomb_of_size_is_refused(data, tmp_path):
    limits = BundleLimits(total_bytes=1_000_000, files=100)
    with pytest.raises(BadBundle, match="more than"):
        inspect(data, limits)
    with pytest.raises(BadBundle, match="more than"):
        unpack(data, tmp_path / "out", limits)


def test_what_follows_the_end_of_an_archive_is_not_even_read():
    data = gzip.compress(tar_of((member("x"), b"x"), mode="w") + bytes(60_000_000))
    assert inspect(data, BundleLimits(total_bytes=1000)).files == ("x",)


@pytest.mark.parametrize("make", [tar_of, lambda *m: zip_of(*((i.name, c) for i, c in m))])
def test_bomb_of_count_is_refused(make):
    data = make(*((member(f"f{i}"), b"") for i in range(101)))
    with pytest.raises(BadBundle, match="more than 100 entries"):
        inspect(data, BundleLimits(files=100))


def test_huge_extended_header_is_refused_before_it_is_in_memory():
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 400_000_000
    data = gzip.compress(header.tobuf() + bytes(8_000_000), 1)
    with pytest.raises(BadBundle, match="header"):
        inspect(data)


def test_zip_that_understates_its_size_is_counted_as_it_is_read():
    data = bytearray(zip_of(("zeros", bytes(3_000_000))))
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = data.index(signature) + offset
        data[at : at + 4] = (10).to_bytes(4, "little")
    with pytest.raises(BadBundle):
        inspect(bytes(data), BundleLimits(total_bytes=1_000_000))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(HOSTILE)), st.integers(0, 10**6), st.binary(min_size=1, max_size=20))
def test_no_damage_raises_anything_but_bad_bundle(name, position, noise):
    data = bytearray(HOSTILE[name] or b"x")
    position %= len(data)
    data[position : position + len(noise)] = noise
    with contextlib.suppress(BadBundle):  # anything else would be an error of the service, not of the sender
        inspect(bytes(data), BundleLimits(total_bytes=10**6))
