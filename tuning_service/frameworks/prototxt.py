"""What can be known of a solver and its nets before a training: templates filled in, parsed, shapes inferred."""

import difflib
import posixpath
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from tuning_service.caffe.net import TRAIN, NetError, PlannedLayer, net_outputs, plan_net
from tuning_service.caffe.shapes import infer_shapes
from tuning_service.caffe.solver_plan import NetUse, nets_of, solver_problems
from tuning_service.caffe.text import PrototxtError, read_net, read_solver
from tuning_service.domain.parameters import ParamValue
from tuning_service.frameworks.base import ProgramFiles
from tuning_service.runner.templates import origin, place, substitute

PATTERN = "*.prototxt"
_WORD = re.compile(r"[\w.+-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What `caffe train` is told about the net's state beside its solver."""

    solver: str  # file of the program, a normalised relative path
    level: int = 0
    stages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """Why no training could begin, in one line that names file and place; `remedy` when there is one to name."""

    message: str
    remedy: str = ""


class _Refused(Exception):
    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.flaw = Flaw(message=message, remedy=remedy)


def flaw_of(training: Training, program: ProgramFiles, values: Mapping[str, ParamValue]) -> Flaw | None:
    """The first thing that is wrong with the program when `values` are put into its templates; None when nothing is."""
    reader = _Reader(program, values)
    try:
        solver = reader.solver(training.solver)
        for use in nets_of(solver):
            reader.check(use, training)
    except _Refused as refused:
        return refused.flaw
    return None


def printed(training: Training, program: ProgramFiles, values: Mapping[str, ParamValue]) -> tuple[str, ...]:
    """Metrics in the log of a training for which `flaw_of` finds nothing, under the names that `logs/caffe.py` gives.

    Of an output with several values the first's name. Empty when a net is a file of the executor's.
    """
    reader = _Reader(program, values)
    solver = reader.solver(training.solver)
    trained, *tested = [reader.check(use, training) for use in nets_of(solver)]
    if not trained or not all(tested):
        return ()
    names = ["loss", "lr", *(f"train_{output}" for output in net_outputs(trained))] if solver.display else []
    for number, plan in enumerate(tested):
        names += [f"test{number or ''}_{output}" for output in net_outputs(plan)]
    return tuple(names + ["test_loss"] * solver.test_compute_loss)


class _Reader:
    """Reads the files of a program, filled in with one configuration; each net once."""

    def __init__(self, program: ProgramFiles, values: Mapping[str, ParamValue]) -> None:
        self._program = program
        self._values = values
        self._nets: dict[str, Any] = {}
        self._solver = ""

    def solver(self, name: str) -> Any:
        solver = self._parsed(name, read_solver)
        if problems := solver_problems(solver):
            raise _Refused(f"{name}: the solver {'; it '.join(problems)}")
        self._solver = name
        return solver

    def check(self, use: NetUse, training: Training) -> tuple[PlannedLayer, ...]:
        """The net's layers; () for a file of the executor's."""
        name, net = self._solver, use.net
        if net is None:
            name = posixpath.normpath(use.file)
            if name.startswith("/"):
                return ()
            net = self._net(use, name)
        own = training if use.phase == TRAIN else Training(solver=training.solver)
        try:
            state = use.state(net)
            plan = plan_net(net, use.phase, own.level or state.level, {*state.stage, *own.stages})
            _check_fed(plan)
            infer_shapes(plan)
        except NetError as error:
            raise _Refused(f"{self._layer_place(name, error.layer)}: {error.problem}") from error
        if use.phase == TRAIN and not _has_loss(plan):
            raise _Refused(f"{name}: no layer of the net gives a loss in phase TRAIN", "Add SoftmaxWithLoss, say.")
        return plan

    def _net(self, use: NetUse, name: str) -> Any:
        if name not in self._program.names:
            near = _near(name, self._program.names)
            remedy = f"Did you mean {near}?" if near else "Put it into the program's folder."
            raise _Refused(f"{self._solver}: {use.field} names {use.file}, which is not in the program", remedy)
        if name not in self._nets:
            self._nets[name] = self._parsed(name, read_net)
        return self._nets[name]

    def _parsed(self, name: str, read: Any) -> Any:
        text = self._program.texts.get(name)
        if text is None:
            raise _Refused(f"{name} is no text of prototxt: it needs UTF-8, a MiB at most, and the ending .prototxt")
        try:
            return read(substitute(text, self._values))
        except PrototxtError as error:
            raise self._unparsed(name, text, error) from error

    def _unparsed(self, name: str, text: str, error: PrototxtError) -> _Refused:
        if not error.line:
            return _Refused(f"{name}: {error.problem}")
        offset = origin(text, self._values, error.line, error.column)
        line, column = place(text, offset)
        found = _WORD.match(text, offset)
        word = found[0] if found else ""
        where = f"{name}, line {line}, column {column}"
        if word in self._values:
            return _Refused(f"{where}: {error.problem}, as {word} is {self._values[word]!r}")
        near = _near(word, self._values)
        return _Refused(f"{where}: {error.problem}", f"Did you mean {near}, which is in the space?" if near else "")

    def _layer_place(self, name: str, layer: str) -> str:
        if not layer:
            return name
        text = self._program.texts.get(name, "")
        found = re.search(rf"\bname\s*:\s*[\"']{re.escape(layer)}[\"']", text)
        line = f", line {place(text, found.start())[0]}" if found else ""
        return f"{name}{line}, layer {layer}"


def _check_fed(plan: Collection[PlannedLayer]) -> None:
    for planned in plan:
        if planned.type in {"Input", "MemoryData"}:
            problem = f"{planned.type} is fed by a program; a training needs Data, ImageData, HDF5Data or DummyData"
            raise NetError(planned.name, problem)


def _has_loss(plan: Collection[PlannedLayer]) -> bool:
    return any(weight for planned in plan for weight in planned.loss_weights)


def _near(word: str, known: Collection[str]) -> str:
    return next(iter(difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.75)), "")
