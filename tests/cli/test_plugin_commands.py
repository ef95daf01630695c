"""The commands for search algorithms of one's own, as a shell sees them."""

from pathlib import Path

import pytest

from tests.cli.test_commands import Shell
from tests.plugins import OLD_RANDOM, plugin_files, tarred, write
from tests.rest_service import Service


@pytest.fixture
def shell(service: Service) -> Shell:
    return Shell(service)


def test_a_plugin_is_uploaded_listed_used_and_deleted(shell: Shell, tmp_path: Path) -> None:
    folder = write(tmp_path / "mine", plugin_files(rest='[options.reach]\ntype = "float"\ndefault = 0.5\n'))
    uploaded = shell.run("plugin", "upload", str(folder))
    assert uploaded.stdout == "mine 1.0.0 is ready.\n"
    assert "algorithm: {name: mine}" in uploaded.stderr
    (listed,) = shell.json("plugin", "list")
    assert (listed["name"], listed["status"]) == ("mine", "ready")
    assert "mine" in shell.run("plugin", "list").stdout
    assert "reach" in shell.run("algorithms", "mine").stdout
    assert shell.run("plugin", "delete", "mine", "1.0.0").stdout == "mine 1.0.0 is deleted.\n"
    assert shell.json("plugin", "list") == []
    assert (
        "There is no version '1.0.0' of plug-in 'mine'."
        in shell.run("plugin", "delete", "mine", "1.0.0", code=4).stderr
    )


def test_an_upload_that_cannot_be_used_says_why(shell: Shell, tmp_path: Path) -> None:
    folder = write(tmp_path / "mine", plugin_files("raise KeyError('lost')"))
    refused = shell.run("plugin", "upload", str(folder), code=1)
    assert "KeyError: 'lost'" in refused.stderr
    assert 'File "mine.py", line 15, in _suggest' in refused.stderr
    (folder / "plugin.toml").write_text("nmae = 1")
    refused = shell.run("plugin", "upload", str(folder), code=2)
    assert "plugin.toml.nmae: is no key of this table. Did you mean 'name'?" in refused.stderr


def test_an_archive_of_the_older_interface_is_named_in_the_command(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "old.tar").write_bytes(tarred({"optimizer.py": OLD_RANDOM}))
    shell.run("plugin", "upload", str(tmp_path / "old.tar"), "--name", "old_random", "--version", "2")
    assert shell.json("plugin", "list")[0]["version"] == "2"


@pytest.fixture
def offline() -> Shell:
    """A shell that knows of no service."""
    shell = Shell.__new__(Shell)
    shell.environment = {"COLUMNS": "200"}
    return shell


def test_check_tells_each_result_and_exits_with_1_when_one_failed(offline: Shell, tmp_path: Path) -> None:
    good = write(tmp_path / "good", plugin_files())
    passed = offline.run("plugin", "check", str(good))
    assert "ok      plugin.toml: mine 1.0.0\nok      loads and suggests\n" in passed.stdout
    assert "checks passed." in passed.stdout
    assert all(item["ok"] for item in offline.json("plugin", "check", str(good)))

    fickle = write(tmp_path / "fickle", plugin_files("self.seed = time.monotonic_ns()"))
    failed = offline.run("plugin", "check", str(fickle), code=1)
    assert "FAILED  the same history gets the same suggestions" in failed.stdout
    for files, told in (
        (plugin_files("1 / 0"), "ZeroDivisionError"),
        (plugin_files(name="tpe"), "is the name of a built-in algorithm"),
        ({"mine.py": ""}, "plugin.toml: is missing"),
    ):
        broken = write(tmp_path / told[:5].strip(), files)
        assert told in offline.run("plugin", "check", str(broken), code=1).stdout


def test_check_takes_the_older_interface(offline: Shell, tmp_path: Path) -> None:
    (tmp_path / "old.tar").write_bytes(tarred({"optimizer.py": OLD_RANDOM}))
    assert "All 2 checks passed." in offline.run("plugin", "check", str(tmp_path / "old.tar"), "--name", "old").stdout
