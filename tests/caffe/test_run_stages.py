"""Which layers are trained, as the command line says it beside the solver."""

import os
import subprocess
import sys
from pathlib import Path

from tests.frameworks.test_caffe import NET, SOLVER
from tuning_service.runner.templates import substitute

ROOT = Path(__file__).resolve().parents[2]
LOSS = 'name: "loss"'


def train(folder, *options):
    return subprocess.run(
        [sys.executable, "-m", "tuning_service.caffe", "train", "--solver=solver.prototxt", *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_levels_and_stages_of_the_command_choose_layers(tmp_path):
    values = {"BASE_LR": 0.01, "KERNEL": 3}
    net = NET.replace(LOSS, f'{LOSS} include {{ stage: "learn" min_level: 1 }}')
    (tmp_path / "net.prototxt").write_text(substitute(net, values))
    solver = substitute(SOLVER, values) + "solver_mode: CPU snapshot_after_train: false\n"
    (tmp_path / "solver.prototxt").write_text(solver.replace("test_iter: 2\ntest_interval: 5\n", ""))
    done = train(tmp_path, "--stage=learn,other", "-level", "1")
    assert done.returncode == 0, done.stderr
    assert "Optimization Done." in done.stderr
    assert train(tmp_path, "--stage=learn").returncode != 0  # nothing gives a loss there
