import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks.throughput.contender import train, train_clean
from benchmarks.throughput.growth import Reading, alone, parts
from benchmarks.throughput.growth import table as growth_table
from benchmarks.throughput.report import Figures, summarise, table

ROOT = Path(__file__).parents[2]
BURN = "import time\nwhile time.process_time() < {seconds}: pass"


def _figures(contender: str, wall_s: float, cpu_s: float = 4.0) -> Figures:
    return Figures(contender=contender, trials=40, wall_s=wall_s, cpu_s=cpu_s, others_cpu_s=1.0, cores=2)


def _python(code: str) -> str:
    """What `code` prints in an interpreter of its own: adopting orphans must not change the test process."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def test_the_noop_training_prints_the_loss_of_its_parameter() -> None:
    assert train(0.3) == pytest.approx(0.04)


def test_a_clean_start_hides_the_python_path_from_the_training(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('loss=99')\nraise SystemExit", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert train_clean(0.3) == pytest.approx(0.04)


def test_cpu_of_dead_and_orphaned_descendants_is_counted() -> None:
    burn = BURN.format(seconds=0.3)
    # The shell ends at once and leaves its child an orphan; the pipe closes when the orphan has ended.
    used = float(
        _python(
            f"""
import os, subprocess, sys
from benchmarks.throughput.process_tree import adopt_orphans, tree_cpu_s
adopt_orphans()
before = tree_cpu_s(os.getpid())
subprocess.run([sys.executable, "-c", {burn!r}], check=True)
orphan = subprocess.run(
    ["sh", "-c", '"$0" -c "$1" &', sys.executable, {burn!r}], stdout=subprocess.PIPE, check=True
)
print(tree_cpu_s(os.getpid()) - before)
"""
        )
    )
    assert 0.58 <= used < 1.5


def test_descendants_that_do_not_end_by_themselves_are_killed_and_counted() -> None:
    out = _python(
        """
import os, subprocess
from benchmarks.throughput.process_tree import adopt_orphans, end_descendants
adopt_orphans()
shell = subprocess.run(["sh", "-c", "setsid sleep 600 >/dev/null 2>&1 & echo $!"], capture_output=True, text=True)
print(end_descendants(0.2), os.path.exists(f"/proc/{int(shell.stdout)}"))
"""
    )
    assert out.split() == ["1", "False"]


def test_the_summary_takes_medians_and_compares_with_ours() -> None:
    runs = [_figures("bare", 2.0), _figures("bare", 4.0), _figures("bare", 40.0), _figures("ours", 5.0, cpu_s=8.0)]
    bare, ours = summarise(runs)
    assert (bare.contender, bare.rate, bare.rate_low, bare.rate_high) == ("bare", 10.0, 1.0, 20.0)
    assert (bare.cpu_ms, ours.cpu_ms) == (100.0, 200.0)
    assert bare.disturbance == pytest.approx(1.0 / 8.0)
    assert bare.ours_times == pytest.approx(0.8)
    assert "0.80 x" in table([bare, ours])


def test_without_ours_there_is_nothing_to_compare_with() -> None:
    (only,) = summarise([_figures("bare", 2.0)])
    assert only.ours_times is None


def test_growth_is_told_for_each_part_of_a_job() -> None:
    readings = [
        Reading(trials=t, at_s=at, service_cpu_s=s, algorithm_cpu_s=a, tree_cpu_s=10 * s, service_mib=200)
        for t, at, s, a in ((0, 5.0, 2.0, 0.5), (100, 15.0, 3.0, 2.5), (250, 25.0, 6.0, 2.8))
    ]
    early, late = parts(readings, [19.0, 2.0])
    assert (early.first, early.last, early.trials_per_s) == (0, 100, 10.0)
    assert (early.service_ms, early.algorithm_ms, early.everything_ms) == pytest.approx((10.0, 20.0, 100.0))
    assert (late.first, late.last, late.trials_per_s, late.alone_ms) == (100, 250, 15.0, 2.0)
    assert (late.service_ms, late.algorithm_ms) == pytest.approx((20.0, 2.0))
    shown = growth_table({"auto": {"parts": [asdict(early), asdict(late)], "after_kill_s": {"250 trials behind": 3.0}}})
    assert "100 - 250" in shown
    assert "3.0 s (250 trials behind)" in shown


def test_the_algorithm_alone_is_measured_for_each_part() -> None:
    first, second = alone("auto", 20, 10, 4)
    assert first > 0
    assert second > 0


@pytest.mark.spark
def test_one_command_measures_bare_spark_and_writes_the_figures(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks.throughput", "--only", "bare", "--json", str(out)]
    command += ["--trials", "4", "--slots", "2", "--warm-up", "2", "--repeats", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr
    assert "bare Spark, one job of N tasks" in done.stdout
    written = json.loads(out.read_text(encoding="utf-8"))
    (run,) = written["runs"]
    assert run["trials"] == 4
    assert run["wall_s"] > 0
    assert run["cpu_s"] > 0
    assert written["processes_left_behind"] == {"bare": 0}
    assert written["machine"]["cores"] == len(os.sched_getaffinity(0))


def test_a_contender_that_fails_is_reported_with_its_reason(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    broken = tmp_path / "pyspark.py"
    broken.write_text("raise ImportError('no Spark here')", encoding="utf-8")
    command = [sys.executable, "-m", "benchmarks.throughput", "--only", "bare", "--repeats", "1", "--json", str(out)]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "no Spark here" in done.stderr
    (problem,) = json.loads(out.read_text(encoding="utf-8"))["problems"]
    assert "no Spark here" in problem
