"""plugin.toml, archives, and environments: what is read before any of a plug-in's code runs."""

import io
import json
import os
import subprocess
import tarfile
import threading
import time

import pytest

from tests.plugins import OLD_GRID, manifest_text, plugin_files, tarred, write, zipped
from tuning_service.domain.errors import GiveUp, InvalidRequest, TryAgain
from tuning_service.search.plugins import archive, environment, manifest
from tuning_service.search.plugins.cache import PluginCache, prepared
from tuning_service.search.plugins.manifest import Manifest


def refusal(rest="", **changes):
    """What is said of a plugin.toml with these lines more."""
    with pytest.raises(InvalidRequest) as caught:
        archive.read(zipped(plugin_files(rest=rest, **changes)))
    return [str(problem) for problem in caught.value.problems]


def option(lines):
    return f"[options.reach]\n{lines}"


@pytest.mark.parametrize(
    ("rest", "told"),
    [
        ("sumary = 'x'", "plugin.toml.sumary: is no key of this table. Did you mean 'summary'?"),
        ("interface = 'old'", "plugin.toml.interface: Input should be 'hpt' or 'dli', not 'old'."),
        ("most_objectives = 0", "plugin.toml.most_objectives: Input should be greater than or equal to 1, not 0."),
        ("requirements = ['numpy >>> 3']", "the requirement 'numpy >>> 3' cannot be read"),
        ("requirements = ['x @ https://evil.example/x.whl']", "names an address; name a package and its versions"),
        ("requirements = ['--index-url https://evil.example']", "cannot be read"),
        ("requirements = 'numpy'", "plugin.toml.requirements: Input should be a valid tuple, not 'numpy'."),
        (option("type = 'float'"), "plugin.toml.options.reach.default: is missing."),
        (option("type = 'flaot'\ndefault = 1"), "plugin.toml.options.reach.type: Input should be 'float', 'int'"),
        (option("type = 'int'\ndefault = 1.5"), "plugin.toml.options.reach: 1.5 is no int."),
        (option(f"type = 'int'\ndefault = {10**30}"), f"plugin.toml.options.reach: {10**30} is beyond {2**53}"),
        (f"a = {'[' * 3000}{']' * 3000}", "plugin.toml: has too many brackets within brackets."),
        (option("type = 'float'\ndefault = nan"), "nan is no float"),
        (option("type = 'float'\ndefault = 9\nmax = 3"), "the default 9 is not between min and max"),
        (option("type = 'int'\ndefault = 1\nmin = 3\nmax = 2"), "min 3 is greater than max 2"),
        (f"# {'x' * 70_000}", "plugin.toml: is longer than 65536 bytes."),
        ("most_objectives = true", "plugin.toml.most_objectives: Input should be a valid integer, not True."),
        ("takes_constraints = 'yes'", "plugin.toml.takes_constraints: Input should be a valid boolean, not 'yes'."),
        (option("type = 'float'\ndefault = 1\nmax = inf"), "max is inf; leave it out for no bound"),
        (option("type = 'float'\ndefault = 1\nmin = nan"), "min is nan; leave it out for no bound"),
        (option("type = 'str'\ndefault = 'a'\nchoices = ['b']"), "the default 'a' is none of the choices"),
        (option("type = 'str'\ndefault = 'a'\nmin = 1"), "a str has no min or max"),
        (option("type = 'int'\ndefault = 1\nmni = 0"), "plugin.toml.options.reach.mni: is no key of this table."),
        ("[options.model_dump]\ntype = 'int'\ndefault = 1", "options.model_dump cannot be an option's name"),
    ],
)
def test_each_fault_of_a_manifest_is_named(rest, told):
    (problem,) = refusal(rest)
    assert told in problem


def test_names_and_versions_are_checked_and_all_faults_told_at_once():
    name, version = refusal(name="My-Plugin", version="one")
    assert name.startswith("plugin.toml.name: 'My-Plugin' is not allowed. Use a lower-case letter, then up to 62")
    assert version == "plugin.toml.version: 'one' is not allowed. Use numbers and dots, such as 1.0.2."
    with pytest.raises(InvalidRequest, match=r"plugin.toml.module: is missing.*plugin.toml.class: is missing"):
        archive.read(zipped({"plugin.toml": "name = 'x'\nversion = '1'", "x.py": ""}))
    with pytest.raises(InvalidRequest, match=r"there is no file mine.py. Did you mean 'mein'"):
        archive.read(zipped({"plugin.toml": manifest_text(), "mein.py": ""}))


def test_a_manifest_is_read_back_as_it_was():
    rest = option("type = 'float'\ndefault = 1\nmax = 3\ndescription = 'How far.'")
    read = archive.read(zipped(plugin_files(rest=rest))).manifest
    assert Manifest.from_json(json.loads(json.dumps(read.to_json()))) == read
    old = archive.read(tarred({"optimizer.py": OLD_GRID}), name="grid").manifest
    assert Manifest.from_json(json.loads(json.dumps(old.to_json()))) == old
    assert (old.interface, old.version, old.takes_conditions, old.free_options) == ("dli", "1", False, True)


def test_the_same_files_have_one_digest_however_they_are_packed(tmp_path):
    files = plugin_files()
    folder = write(tmp_path / "x", files)
    write(folder, {"__pycache__/mine.pyc": "left out"})
    (tmp_path / "x.zip").write_bytes(zipped(files))
    ways = (folder, tmp_path / "x.zip", zipped(files, prefix="inner/"), tarred(files))
    assert len({archive.read(way).digest for way in ways}) == 1


def with_link():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo("mine.py")
        info.type, info.linkname = tarfile.SYMTYPE, "plugin.toml"
        tar.addfile(info)
    return buffer.getvalue()


def test_what_macs_and_windows_add_does_no_harm():
    files = {f"mine/{name}": text for name, text in plugin_files().items()}
    files["mine/plugin.toml"] = "\ufeff" + files["mine/plugin.toml"]
    assert archive.read(zipped(files | {"__MACOSX/mine/._mine.py": "x", "mine/.tuningignore/x": ""})).manifest


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"nothing", "no readable tar"),
        (zipped(plugin_files() | {".tuningignore": b"\xff"}), ".tuningignore is no text in UTF-8"),
        (zipped({}), "file: the archive holds no files."),
        (zipped({"/etc/passwd": "x"}), "absolute path"),
        (zipped({"a/../../x": "x"}), "leads out of"),
        (with_link(), "mine.py is a link: copy the file there instead"),
        (zipped({f"f{i}": "" for i in range(1001)}), "more than 1000 entries"),
        (zipped({"big": "x" * (21 * 2**20)}), "unpacks to more than is allowed"),
    ],
)
def test_archives_that_are_refused(data, told):
    with pytest.raises(InvalidRequest) as caught:
        archive.read(data)
    assert told in caught.value.message


def test_an_environment_is_made_once_sees_the_service_and_a_half_made_one_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_TARGET", str(tmp_path / "elsewhere"))  # of the service's machine
    requirement = ["iniconfig>=2"]  # small, and a wheel
    told = []
    python = environment.python_of(requirement, tmp_path, timeout_s=120, tell=told.append)
    assert told == ["making an environment", "installing iniconfig>=2"]
    program = "import iniconfig, tuning_service, numpy; print(tuning_service.__file__)"
    shown = subprocess.run([python, "-c", program], capture_output=True, text=True, cwd=tmp_path, env={})
    assert shown.stdout.strip().startswith(environment.service_home()), shown.stderr
    assert not (tmp_path / "elsewhere").exists()
    again = environment.python_of(requirement, tmp_path, timeout_s=120, tell=told.append)
    assert (again, len(told)) == (python, 2)

    (python.parents[1] / "complete").unlink()
    with pytest.raises(GiveUp, match="in time"):
        environment.python_of(requirement, tmp_path, timeout_s=0.01)
    assert not python.exists()


def test_requirements_that_do_not_resolve_fail_with_pips_own_words(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(GiveUp) as caught:
        environment.python_of(["there-is-no-such-package==1.0"], tmp_path, timeout_s=120)
    assert caught.value.message.startswith("The requirements could not be installed.\n")
    assert "No matching distribution found for there-is-no-such-package==1.0" in caught.value.message
    assert [p.suffix for p in tmp_path.iterdir()] == [".lock"]


def test_a_closing_service_does_not_wait_for_an_environment(tmp_path):
    closing = threading.Event()
    closing.set()
    with pytest.raises(TryAgain):
        environment.python_of(["iniconfig"], tmp_path, timeout_s=60, closing=closing)


def test_the_cache_unpacks_once_and_refuses_other_bytes(tmp_path):
    packed = archive.read(zipped(plugin_files()))
    cache = PluginCache(tmp_path)
    fetched = []

    def fetch():
        fetched.append(1)
        return packed.data

    plugin = cache.prepare(packed.manifest, packed.digest, fetch)
    assert cache.prepare(packed.manifest, packed.digest, fetch) == plugin
    assert fetched == [1]
    assert sorted(p.name for p in plugin.folder.iterdir()) == ["mine.py", "plugin.toml"]
    with pytest.raises(GiveUp, match="damaged"):
        cache.prepare(packed.manifest, "0" * 64, fetch)
    assert prepared(plugin.folder, packed.manifest, tmp_path, install_s=1).python == environment.sys.executable


def test_the_cache_drops_what_no_stored_plugin_needs_a_day_after_its_last_use(tmp_path):
    cache = PluginCache(tmp_path)
    wanted, deleted, in_use = (archive.read(zipped(plugin_files(version=version))) for version in "123")
    folders = [cache.prepare(p.manifest, p.digest, lambda p=p: p.data).folder for p in (wanted, deleted, in_use)]
    needed, dropped = (environment.python_of(r, tmp_path / "environments", timeout_s=60) for r in (["pip"], ["pip>1"]))
    old = time.time() - 2 * 86_400
    for path in (*folders, needed.parents[1] / "complete", dropped.parents[1] / "complete"):
        os.utime(path, (old, old))
    cache.prepare(in_use.manifest, in_use.digest, lambda: in_use.data)

    cache.tidy([(wanted.digest, wanted.manifest.to_json() | {"requirements": ["pip"]})])

    assert [f.is_dir() for f in folders] == [True, False, True]
    assert (needed.is_file(), dropped.parents[1].exists()) == (True, False)
    assert cache.prepare(deleted.manifest, deleted.digest, lambda: deleted.data).folder.is_dir()
    assert environment.python_of(["pip>1"], tmp_path / "environments", timeout_s=60).is_file()


def test_versions_are_ordered_by_their_numbers():
    assert sorted(["1.10", "1.9", "2", "1.9.1"], key=manifest.version_key) == ["1.9", "1.9.1", "1.10", "2"]
