"""The child process of one plug-in: `python -m tuning_service.search.plugins.child JSON`, started by `process`.

It limits itself before it loads anything of the plug-in, and answers what comes over the socket `channel` in its
working folder: the questions of `search.messages`, and those of `check`.
"""

import faulthandler
import json
import os
import resource
import socket
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from tuning_service.search import messages
from tuning_service.search.base import HPTAlgorithm
from tuning_service.search.child import Sessions as _Sessions
from tuning_service.search.child import construct, serve
from tuning_service.search.plugins import dli, loader
from tuning_service.search.plugins.manifest import Manifest


class Sessions(_Sessions):
    """The one algorithm of this process, and what the checks ask about its class."""

    def __init__(self, folder: Path, manifest: Manifest, answer_s: float) -> None:
        super().__init__()
        self._folder = folder
        self._manifest = manifest
        self._answer_s = answer_s
        # Of its own: a plug-in may close the standard one.
        self._stderr = os.fdopen(os.dup(2), "w")
        faulthandler.enable(self._stderr)

    def answer(self, question: Mapping[str, Any]) -> bytes:
        # Shortly before this process is killed for its silence, it prints what it is at.
        faulthandler.dump_traceback_later(max(self._answer_s * 0.9, self._answer_s - 5), file=self._stderr)
        try:
            return super().answer(question)
        finally:
            faulthandler.cancel_dump_traceback_later()

    def build(self, setup: messages.AlgorithmSetup) -> HPTAlgorithm:
        return construct(loader.load(self._folder, self._manifest), setup)

    def explain(self, error: BaseException) -> tuple[str, str]:
        return loader.explain(error, self._folder)

    def _answer(self, question: Mapping[str, Any]) -> dict[str, Any]:
        match question["do"]:
            case "load":
                loader.load(self._folder, self._manifest)
                return {}
            case "conformance":
                from tuning_service.search.plugins.conformance import results

                return {"results": results(loader.load(self._folder, self._manifest), self._manifest)}
        answer = super()._answer(question)
        algorithm = self._algorithms.get(question["session"])
        if isinstance(algorithm, dli.Adapted):
            if question["do"] == "open" and question.get("state"):
                algorithm.restore(question["state"])
            elif question["do"] == "ask":
                answer["state"] = algorithm.snapshot()
        return answer


def _limit(what: int, most: int) -> None:
    _, hard = resource.getrlimit(what)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (most, most))


def _channel() -> tuple[BinaryIO, BinaryIO]:
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    channel.connect("channel")
    Path("channel").unlink()
    descriptor = channel.detach()
    return os.fdopen(descriptor, "rb"), os.fdopen(os.dup(descriptor), "wb")


def main() -> None:
    """Serve until the socket closes."""
    start = json.loads(sys.argv[1])
    sys.argv = [start["manifest"]["name"]]
    os.umask(0o077)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, start["file_bytes"])
    _limit(resource.RLIMIT_AS, start["memory_bytes"])
    warnings.simplefilter("ignore")
    source, sink = _channel()
    serve(source, sink, Sessions(Path(start["folder"]), Manifest.from_json(start["manifest"]), start["answer_s"]))


if __name__ == "__main__":
    main()
