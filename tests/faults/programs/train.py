"""Trains for a while, and keeps a record of its own of what it printed, which does not go through the service."""

import argparse
import json
import os
import pathlib
import time

parser = argparse.ArgumentParser()
parser.add_argument("--x", type=float)
parser.add_argument("--steps", type=int)
parser.add_argument("--pause", type=float, default=0.15)
parser.add_argument("--records")
parser.add_argument("--wait-for", default="")
options = parser.parse_args()
name = ".".join(os.environ[f"TUNING_{part}"] for part in ("JOB", "TRIAL", "TASK"))
record = os.open(pathlib.Path(options.records) / f"{name}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)


def note(**what: object) -> None:
    os.write(record, json.dumps({**what, "at": time.time()}).encode() + b"\n")


note(begun=os.getpid())
for step in range(options.steps):
    loss = options.x + 1 / (step + 1)
    print(f"step={step} loss={loss!r}", flush=True)
    note(step=step, loss=loss)
    time.sleep(options.pause)
while options.wait_for and not pathlib.Path(options.wait_for).exists():
    time.sleep(0.05)
note(ended=True)
