"""The lines that Caffe's solver logs, from Caffe itself or from the service's own runtime."""

import re
from collections.abc import Sequence
from typing import ClassVar

from tuning_service.logs.marks import Format, Mark, as_step
from tuning_service.logs.names import Wanted, squash, tidy

# Written after the format strings of solver.cpp and glog; not anchored, since a launcher may put its own prefix first.
_GLOG = re.compile(r"(?<![\w])[IWEF]\d{4} \d\d:\d\d:\d\d\.\d{6}\s{1,9}\d{1,10} [\w.+-]{1,60}:\d{1,6}\] ?(?P<text>.*)")
_NUMBER = r"[-+]?(?:\d+\.?\d*(?:e[-+]?\d{1,5})?|\.\d+(?:e[-+]?\d{1,5})?|nan|inf)"
_TRAIN = re.compile(
    rf"Iteration (?P<step>\d{{1,15}})(?: \([^()]{{1,60}}\))?, loss = (?P<number>{_NUMBER})\s*$", re.IGNORECASE
)
_RATE = re.compile(rf"Iteration (?P<step>\d{{1,15}}), lr = (?P<number>{_NUMBER})\s*$", re.IGNORECASE)
_TESTING = re.compile(r"Iteration (?P<step>\d{1,15}), Testing net \(#(?P<net>\d{1,3})\)")
_OUTPUT = re.compile(
    rf"\s*(?P<phase>Train|Test) net output #(?P<index>\d{{1,6}}): (?P<name>.{{1,200}}?) = (?P<number>-?{_NUMBER})"
    rf"(?: \(\* {_NUMBER} = {_NUMBER} loss\))?\s*$",
    re.IGNORECASE,
)
_MOST_OUTPUTS = 1000
SOLVERS = frozenset({"loss", "lr"})  # names of what the solver says itself


class Caffe(Format):
    """`loss` is the solver's smoothed loss and `lr` its rate. Outputs of nets are `train_…` and `test_…`, `test1_…` of
    the second test net. Of several outputs of one name, the second is `…_1`. The weight of a loss is not multiplied in.
    A job that asks for `accuracy`, as the net file names it, means that output of the first test net.

    A test's outputs belong to the iteration of the header before them.
    """

    name: ClassVar[str] = "caffe"
    triggers: ClassVar[tuple[str, ...]] = ("Iteration ", " net output #")
    bare: ClassVar[tuple[str, ...]] = (r" net \(#",)

    def __init__(self, metrics: Sequence[str]) -> None:
        self._wanted = Wanted(metrics)
        self._net = 0  # whose outputs follow
        self._phase = ""
        self._last_index = -1
        self._outputs: dict[str, int] = {}  # of one block of outputs: how many there were of each name

    def read(self, line: str) -> Sequence[Mark] | None:
        glog = _GLOG.search(line)
        text = glog["text"] if glog else line
        if (output := _OUTPUT.match(text)) is not None:
            return self._output(output)
        if (header := _TESTING.match(text)) is not None:
            self._net, self._outputs, self._last_index = int(header["net"]), {}, -1
            return _at(header)
        if (train := _TRAIN.match(text)) is not None:
            return [*_at(train), Mark(self._wanted.named("loss"), float(train["number"]))]
        if (rate := _RATE.match(text)) is not None:
            return [*_at(rate), Mark(self._wanted.named("lr"), float(rate["number"]))]
        return None

    def _output(self, found: re.Match[str]) -> list[Mark]:
        phase, index = found["phase"].lower(), int(found["index"])
        # A new block: the other phase, or the count of outputs begins anew.
        if phase != self._phase or index <= self._last_index or len(self._outputs) >= _MOST_OUTPUTS:
            self._outputs = {}
        self._phase, self._last_index = phase, index
        name = found["name"]
        earlier = self._outputs.get(name, 0)
        self._outputs[name] = earlier + 1
        net = str(self._net) if phase == "test" and self._net else ""
        full = f"{phase}{net}_{name}{f'_{earlier}' if earlier else ''}"
        names = [self._wanted.get(full)]
        if phase == "test" and not net and not earlier and squash(name) not in SOLVERS:
            names.append(self._wanted.get(name))
        asked = [name for name in names if name is not None] or [tidy(full)]
        return [Mark(one, float(found["number"])) for one in asked]


def _at(found: re.Match[str]) -> list[Mark]:
    step = as_step(float(found["step"]))
    return [] if step is None else [Mark(None, step)]
