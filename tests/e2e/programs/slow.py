"""Trains for a while: a step each tenth of a second. Ignores SIGTERM when told to."""

import argparse
import os
import pathlib
import signal
import subprocess
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("--x", type=float)
parser.add_argument("--steps", type=int, default=20)
parser.add_argument("--stubborn", action="store_true")
parser.add_argument("--wait-for", default="")
options = parser.parse_args()
if options.stubborn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # A child of its own session, as data loaders and launchers start them.
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)  # slow-child"], start_new_session=True)
gpu = os.environ.get("CUDA_VISIBLE_DEVICES") or "-1"
for step in range(options.steps):
    print(f"step={step} loss={options.x + 1 / (step + 1):.4f} gpu={gpu.split(',')[0]}")
    time.sleep(0.1)
while options.wait_for and not pathlib.Path(options.wait_for).exists():
    time.sleep(0.05)
