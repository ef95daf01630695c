"""Trainings as they should not be."""

import argparse
import os
import subprocess
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("--mode")
mode = parser.parse_args().mode
if mode == "crash":
    print("loss=0.5")
    raise ValueError("the data set is empty")
if mode == "segfault":
    os.kill(os.getpid(), 11)
if mode == "hang":
    time.sleep(3600)
if mode == "nan":
    print("loss=nan")
if mode == "nothing":
    print("Epoch 1/1 done, validation_loss: 0.25")
if mode == "flood":
    line = b"x" * 1023 + b"\n"
    for _ in range(100 * 1024):
        sys.stdout.buffer.write(line)
    print("loss=0.75")
if mode == "fork":
    child = "import os, time; os.fork() or os.setsid() or os.fork() or time.sleep(3600)  # left-behind"
    subprocess.Popen([sys.executable, "-c", child])
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)  # left-behind"], start_new_session=True)
    print("loss=0.5")
if mode == "ok":
    print("loss=0.25")
