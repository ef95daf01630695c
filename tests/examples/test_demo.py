"""`make demo`, as a newcomer runs it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def left_behind(folder: Path) -> list[str]:
    """Command lines of processes that name `folder`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it ended meanwhile
            continue
        if str(folder) in command:
            found.append(command)
    return found


@pytest.mark.heavy
@pytest.mark.spark
@pytest.mark.timeout(600)
def test_demo_finds_a_good_configuration_and_cleans_up(tmp_path):
    done = subprocess.run(
        [sys.executable, "examples/demo.py"],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=500,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    best = re.search(r"Best configuration \(trial \d+, val_accuracy (\d\.\d+)\)", done.stdout)
    assert best, done.stdout
    assert float(best[1]) >= 0.98
    assert "24/24 trials · 0 running" in done.stdout
    assert left_behind(tmp_path) == []
