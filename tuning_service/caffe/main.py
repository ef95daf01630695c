"""`python -m tuning_service.caffe`: Caffe's command line, on torch."""

import argparse
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch

from tuning_service.caffe import log
from tuning_service.caffe.checks import CheckFailed, check
from tuning_service.caffe.messages import choice
from tuning_service.caffe.net import NetError
from tuning_service.caffe.nets import load_solver
from tuning_service.caffe.solver import Solver

_EFFECTS = ("snapshot", "stop", "none")


class _Signals:
    """What SIGINT and SIGHUP ask for, while it is entered; each request is told once."""

    def __init__(self, interrupt: str, hangup: str) -> None:
        self._asked = ""
        self._effects = {signal.SIGINT: interrupt, signal.SIGHUP: hangup}
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number, effect in self._effects.items():
            if effect != "none":
                self._before[number] = signal.signal(number, lambda *_, effect=effect: self._ask(effect))
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, effect: str) -> None:
        # A stop is not forgotten for a snapshot that is asked for after it.
        self._asked = "stop" if "stop" in {self._asked, effect} else effect

    def __call__(self) -> str:
        asked, self._asked = self._asked, ""
        return asked


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0, also after a stop by a signal; 1 when something is wrong, which the last line on stderr says."""
    options = _parser().parse_args(argv)
    try:
        options.run(options)
    except (CheckFailed, NetError) as error:
        log.fatal("caffe.cpp:0", str(error))
        return 1
    except torch.OutOfMemoryError as error:
        told = str(error).splitlines()[0]
        log.fatal("caffe.cpp:0", f"the GPU's memory is full; a smaller batch_size with iter_size may do: {told}")
        return 1
    except (MemoryError, RuntimeError) as error:
        told = str(error).splitlines()[0] if str(error) else "no memory is left"
        if not isinstance(error, MemoryError) and "can't allocate memory" not in told:
            raise
        log.fatal("caffe.cpp:0", f"the memory is full; a smaller batch_size with iter_size may do: {told}")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="caffe", description="Trains Caffe's nets on torch.", allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="command")
    train = commands.add_parser("train", help="train a net as a solver says", allow_abbrev=False)
    _option(train, "solver", required=True, help="the solver's prototxt")
    _option(train, "weights", default="", help="weights to begin with: .caffemodel or .pt, several with commas")
    _option(train, "snapshot", default="", help="a .solverstate to go on from")
    _option(train, "sigint_effect", default="stop", choices=_EFFECTS)
    _option(train, "sighup_effect", default="snapshot", choices=_EFFECTS)
    train.set_defaults(run=_train)
    test = commands.add_parser("test", help="score a net", allow_abbrev=False)
    time = commands.add_parser("time", help="time a net's forward and backward passes", allow_abbrev=False)
    for command in (test, time):
        _option(command, "model", required=True, help="the net's prototxt")
        _option(command, "iterations", type=int, default=50)
    for command in (train, test, time):
        _option(command, "level", type=int, default=0)
        _option(command, "stage", default="", help="stages, with commas")
    _option(test, "weights", required=True)
    _option(time, "phase", default="TRAIN", choices=("TRAIN", "TEST"))
    for command in (train, test, time):
        _option(command, "gpu", default="", help="the number of a GPU; the first of several is used")
    export = commands.add_parser("export", help="write a net as ONNX or as a torch checkpoint", allow_abbrev=False)
    _option(export, "model", required=True, help="the net's prototxt")
    _option(export, "weights", required=True)
    _option(export, "onnx", default="", help="the file to write")
    _option(export, "torch", default="", help="the file to write")
    _option(export, "shape", default="", help="channels, height and width of what a Data layer gives: 3,32,32")
    test.set_defaults(run=_test)
    time.set_defaults(run=_time)
    export.set_defaults(run=_export)
    return parser


def _option(parser: argparse.ArgumentParser, name: str, **settings: object) -> None:
    # gflags takes one dash or two.
    parser.add_argument(f"--{name}", f"-{name}", **settings)  # type: ignore[arg-type]


def _device(gpu: str, *, wanted: bool) -> torch.device:
    """The GPU that is asked for, where there is one."""
    if not (gpu or wanted):
        log.info("caffe.cpp:197", "Use CPU.")
        return torch.device("cpu")
    if not torch.cuda.is_available():
        log.info("caffe.cpp:197", "Use CPU: a GPU is asked for, and torch sees none here.")
        return torch.device("cpu")
    first, *others = (gpu or "0").replace("all", "0").split(",")
    check(
        first.isdecimal() and int(first) < torch.cuda.device_count(),
        f"there is no GPU {first}; torch sees {torch.cuda.device_count()}",
    )
    if others:
        log.warning("caffe.cpp:205", f"One GPU trains a net here: {first} of {gpu}")
    device = torch.device("cuda", int(first))
    torch.cuda.set_device(device)
    log.info("caffe.cpp:206", f"Using GPUs {first}: {torch.cuda.get_device_name(device)}")
    return device


def _train(options: argparse.Namespace) -> None:
    path = Path(options.solver)
    message = load_solver(path)
    check(not (options.weights and options.snapshot), "give --snapshot to go on or --weights to finetune, not both")
    level, stages = _state(options)
    if level:
        message.train_state.level = level
    message.train_state.stage.extend(stages)
    gpu = options.gpu
    wanted = choice(message, "solver_mode") == "GPU"
    if wanted and not gpu:
        gpu = str(message.device_id)
    device = _device(gpu, wanted=wanted)
    state = Path(options.snapshot) if options.snapshot else None
    finetuned = options.weights.split(",") if options.weights else message.weights
    with _Signals(options.sigint_effect, options.sighup_effect) as signals:
        solver = Solver(message, path, device, signals, state)
        for weights in [] if state else finetuned:
            solver.load_weights(Path(weights))
        log.info("caffe.cpp:248", "Starting Optimization")
        if solver.solve():
            log.info("caffe.cpp:259", "Optimization Done.")


def _test(options: argparse.Namespace) -> None:
    from tuning_service.caffe.tools import score

    device = _device(options.gpu, wanted=False)
    score(Path(options.model), options.weights.split(","), options.iterations, device, _state(options))


def _time(options: argparse.Namespace) -> None:
    from tuning_service.caffe.tools import clock

    device = _device(options.gpu, wanted=False)
    clock(Path(options.model), options.iterations, device, _state(options), training=options.phase == "TRAIN")


def _state(options: argparse.Namespace) -> tuple[int, tuple[str, ...]]:
    return options.level, tuple(stage for stage in options.stage.split(",") if stage)


def _export(options: argparse.Namespace) -> None:
    from tuning_service.caffe.export import export

    check(options.onnx or options.torch, "say what to write: --onnx=FILE or --torch=FILE")
    try:
        shape = tuple(int(part) for part in options.shape.split(",")) if options.shape else ()
    except ValueError:
        raise CheckFailed(f'--shape is "{options.shape}"; write it as 3,32,32') from None
    export(Path(options.model), Path(options.weights), options.onnx, options.torch, shape)
