"""The child process that algorithms run in: `python -m tuning_service.search.child`, started by `host`.

Questions come on standard input, answers go to what was standard output; whatever libraries print goes to standard
error. When the input closes, the service is gone, and so is this process, even in the middle of a computation.
"""

import json
import os
import queue
import threading
import traceback
import warnings
from collections.abc import Mapping
from typing import Any, BinaryIO

from tuning_service.search import messages
from tuning_service.search.base import HPTAlgorithm
from tuning_service.search.options import find_algorithm

_TRACEBACK_LINES = 12


class Sessions:
    """The algorithms that live in this process."""

    def __init__(self) -> None:
        self._algorithms: dict[str, HPTAlgorithm] = {}

    def answer(self, question: Mapping[str, Any]) -> bytes:
        """The answer to one question, as a line. An error closes its session: the algorithm may be half way through."""
        try:
            return messages.encode(self._answer(question))
        except Exception as error:  # noqa: BLE001  # an algorithm may raise, and propose, whatever it likes
            self._algorithms.pop(question["session"], None)
            reason, detail = self.explain(error)
            return messages.encode({"error": {"reason": reason, "detail": detail}})

    def build(self, setup: messages.AlgorithmSetup) -> HPTAlgorithm:
        """A fresh algorithm as `setup` says."""
        return build(setup)

    def explain(self, error: Exception) -> tuple[str, str]:
        """One line for users, and the end of the traceback."""
        lines = traceback.format_exc().splitlines()[-_TRACEBACK_LINES:]
        return traceback.format_exception_only(error)[-1].strip()[:500], "\n".join(lines)

    def _answer(self, question: Mapping[str, Any]) -> dict[str, Any]:
        key = question["session"]
        match question["do"]:
            case "open":
                self._algorithms[key] = self.build(messages.setup_from_json(question["setup"]))
            case "close":
                self._algorithms.pop(key, None)
            case "ask":
                algorithm = self._shown(question)
                pending = [messages.pending_from_json(p) for p in question["pending"]]
                suggestions = algorithm.suggest(question["count"], pending)
                return {"suggestions": [messages.suggestion_to_json(s) for s in suggestions]}
            case "recommend":
                return {"recommendation": messages.recommendation_to_json(self._shown(question).recommend())}
        return {}

    def _shown(self, question: Mapping[str, Any]) -> HPTAlgorithm:
        """The session's algorithm, which has been shown what the question brings."""
        algorithm = self._algorithms[question["session"]]
        if question["observe"]:
            algorithm.observe([messages.observation_from_json(o) for o in question["observe"]])
        return algorithm


def build(setup: messages.AlgorithmSetup) -> HPTAlgorithm:
    """A fresh algorithm as `setup` says."""
    return construct(find_algorithm(setup.algorithm.name), setup)


def construct(cls: type[HPTAlgorithm], setup: messages.AlgorithmSetup) -> HPTAlgorithm:
    """A fresh one of that class, whatever name `setup` has for it."""
    options = cls.options_type.model_validate(dict(setup.algorithm.options))
    # Left out where there are none, so that an algorithm which takes none need not name them in its constructor.
    limits = {"constraints": setup.constraints} if setup.constraints else {}
    made = cls(setup.space, setup.objectives, options, setup.seed, **limits)
    made.transform.known = setup.points
    return made


def _read_all(source: BinaryIO, questions: "queue.SimpleQueue[bytes]") -> None:
    for line in source:
        questions.put(line)
    os._exit(1)


def serve(source: BinaryIO, sink: BinaryIO, sessions: Sessions | None = None) -> None:
    """Answer questions until `source` ends, and this process with it."""
    questions: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read_all, args=(source, questions), daemon=True).start()
    sessions = sessions or Sessions()
    own = os.getpid()
    while True:
        answer = sessions.answer(json.loads(questions.get()))
        if os.getpid() != own:  # an algorithm forked, and its child has come back here
            os._exit(1)
        sink.write(answer)
        sink.flush()


def main() -> None:
    """Serve on this process's standard streams, after moving them out of the libraries' reach."""
    warnings.simplefilter("ignore")
    source, sink = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    serve(os.fdopen(source, "rb"), os.fdopen(sink, "wb"))


if __name__ == "__main__":
    main()
