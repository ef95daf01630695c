"""Makes the samples anew: `python -m tests.logs.corpus.make [NAME …]`, in an environment that has what they need.

With --readings it writes down what the parsers read from all samples, to be checked by hand before it is committed.
"""

import os
import pty
import re
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.logs.corpus.samples import HERE, SAMPLES, Sample
from tuning_service.logs import FORMATS_FOR, LineSplitter, LogParser, build_parser

_LONGEST_S = 300


def run(sample: Sample) -> bytes:
    """What its program prints, standard error included."""
    command = [sys.executable, *sample.command[1:]]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "",
        "COLUMNS": "100",
        "HF_HUB_OFFLINE": "1",
    }
    options = {"cwd": HERE / "programs", "env": environment, "stdin": subprocess.DEVNULL, "timeout": _LONGEST_S}
    if not sample.terminal:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **options)
        assert done.returncode == 0, done.stdout.decode(errors="replace")
        return done.stdout
    with tempfile.TemporaryFile() as kept:

        def read(descriptor: int) -> bytes:
            data = os.read(descriptor, 2**16)
            kept.write(data)
            return data

        os.environ.update(environment)
        os.chdir(HERE / "programs")
        assert pty.spawn(command, read, lambda _: b"") == 0
        kept.seek(0)
        return kept.read()


def without_places(data: bytes) -> bytes:
    """`data` without what only this machine has: folders, its name, addresses."""
    text = data.decode()
    for folder, name in ((str(HERE), "/corpus"), (sys.prefix, "/env"), (sys.base_prefix, "/python")):
        text = text.replace(folder, name)
    text = text.replace(socket.gethostname(), "host")
    text = re.sub(r"/tmp/[\w./-]+", "/tmp/folder", text)
    return re.sub(r"\b\d{1,3}(?:\.\d{1,3}){3}\b", "127.0.0.1", text).encode()


def readings(name: str, framework: str) -> list[str]:
    """What is read from a sample, a line each: step, metric, value, format."""
    parser = build_parser({"formats": FORMATS_FOR[framework], "patterns": [], "metrics": []})
    splitter = LineSplitter(LogParser.MAX_LINE)
    data = (HERE / f"{name}.log").read_bytes()
    found = [r for line in [*splitter.feed(data), *splitter.finish()] for r in parser.feed(line)]
    return [f"{r.step} {r.metric} {r.value:g} {r.form}" for r in [*found, *parser.finish()]]


def main(names: list[str]) -> None:
    if names == ["--readings"]:
        for name, sample in SAMPLES.items():
            (HERE / f"{name}.readings").write_text("\n".join(readings(name, sample.framework)) + "\n")
        return
    for name in names or [name for name, sample in SAMPLES.items() if sample.command]:
        data = without_places(run(SAMPLES[name]))
        Path(HERE / f"{name}.log").write_bytes(data)
        print(f"{name}: {len(data)} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
