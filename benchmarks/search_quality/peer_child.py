"""A searcher in a process, and an environment, of its own: `python -m benchmarks.search_quality.peer_child`.

Line-delimited JSON on both sides, one answer to each question:

    {"do": "open", "contender": NAME, "module", "packages", "setup": {...}}   -> {"versions": {...}}
    {"do": "ask"}                                   -> {"params": {...}, "wall_s", "cpu_s"}
    {"do": "tell", "params": {...}, "loss"}         -> {"wall_s", "cpu_s"}
    {"do": "learn", "history": [[params, loss], …]} -> {"wall_s", "cpu_s"}

Times are those of the searcher itself, taken here. Any of them may be answered {"error": TEXT}. Only this module,
`searcher` and one wrapper are imported, so that any interpreter with the wrapper's library can run it.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from benchmarks.search_quality.searcher import Contender, Params, Searcher, Setup

_ROOT = Path(__file__).parents[2]
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1")


class PeerFailed(Exception):
    """The child said why, or ended without a word."""


class PeerTooSlow(Exception):
    """No answer in time; the child was killed."""


class PeerChild:
    """A `Searcher` behind a pipe. The times grow by what each call took in the child."""

    def __init__(self, contender: Contender, setup: Setup, python: str = sys.executable) -> None:
        self.wall_s = self.cpu_s = 0.0
        self._stderr = tempfile.TemporaryFile("a+b")  # noqa: SIM115  # closed by `close`
        inherited = os.environ.get("PYTHONPATH")
        self._process = subprocess.Popen(
            [python, "-m", "benchmarks.search_quality.peer_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            env=os.environ
            | ONE_THREAD
            | {"PYTHONPATH": f"{_ROOT}{os.pathsep}{inherited}" if inherited else str(_ROOT)},
        )
        try:
            answer = self._question({"do": "open", "contender": asdict(contender), "setup": asdict(setup)})
        except BaseException:
            self.close()
            raise
        self.versions: dict[str, str | None] = answer["versions"]

    def ask(self, timeout_s: float | None = None) -> Params:
        """As the searcher's. Raises PeerFailed or PeerTooSlow."""
        params: Params = self._question({"do": "ask"}, timeout_s)["params"]
        return params

    def tell(self, params: Params, loss: float, timeout_s: float | None = None) -> None:
        """As the searcher's. Raises PeerFailed or PeerTooSlow."""
        self._question({"do": "tell", "params": params, "loss": loss}, timeout_s)

    def learn(self, history: Sequence[tuple[Params, float]], timeout_s: float | None = None) -> None:
        """As the searcher's. Raises PeerFailed or PeerTooSlow."""
        self._question({"do": "learn", "history": history}, timeout_s)

    def close(self) -> None:
        """The child is gone."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._stderr):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    def _question(self, question: Mapping[str, Any], timeout_s: float | None = None) -> dict[str, Any]:
        started = time.monotonic()
        timer = threading.Timer(timeout_s, self._process.kill) if timeout_s is not None else None
        if timer is not None:
            timer.start()
        try:
            line = self._exchange(json.dumps(question))
        finally:
            if timer is not None:
                timer.cancel()
        if timeout_s is not None and time.monotonic() - started > timeout_s:
            self._process.kill()
            raise PeerTooSlow(f"{question['do']}: no answer after {timeout_s:.0f} s")
        if not line:
            raise PeerFailed(f"the child ended: {self._tail()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise PeerFailed(answer["error"])
        self.wall_s += answer.get("wall_s", 0.0)
        self.cpu_s += answer.get("cpu_s", 0.0)
        return answer

    def _exchange(self, line: str) -> str:
        if self._process.stdin is None or self._process.stdout is None:
            raise PeerFailed("the child has no pipes")
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
            return self._process.stdout.readline()
        except BrokenPipeError:
            return ""

    def _tail(self) -> str:
        self._process.wait()
        self._stderr.seek(0)
        return self._stderr.read().decode(errors="replace")[-2000:]


def serve(questions: IO[str], answers: IO[str]) -> None:
    """Answer until the questions end."""
    searcher: Searcher | None = None
    for line in questions:
        question = json.loads(line)
        try:
            if searcher is None:  # the first question opens
                contender = Contender(**question["contender"])
                searcher = contender.build(Setup(**question["setup"]))
                answer: dict[str, Any] = {"versions": contender.versions()}
            else:
                answer = _timed(searcher, question)
        except Exception:
            answer = {"error": traceback.format_exc()[-4000:]}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _timed(searcher: Searcher, question: Mapping[str, Any]) -> dict[str, Any]:
    wall, cpu = time.perf_counter(), time.process_time()
    answer: dict[str, Any] = {}
    if question["do"] == "ask":
        answer["params"] = searcher.ask()
    elif question["do"] == "tell":
        searcher.tell(question["params"], question["loss"])
    else:
        searcher.learn([(params, loss) for params, loss in question["history"]])
    return answer | {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}


def main() -> None:
    """Serve on standard input and output; whatever a library prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    serve(sys.stdin, answers)


if __name__ == "__main__":
    main()
