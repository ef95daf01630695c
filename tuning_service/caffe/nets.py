"""The nets that a solver trains and tests, built with the readers of their data."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tuning_service.caffe import text
from tuning_service.caffe.checks import CheckFailed, check
from tuning_service.caffe.compile import Net
from tuning_service.caffe.data import Feed, Origin, make_reader
from tuning_service.caffe.net import plan_net
from tuning_service.caffe.schema import TRAIN
from tuning_service.caffe.shapes import infer_shapes, parameter_count
from tuning_service.caffe.solver_plan import NetUse, nets_of, solver_problems


@dataclass(slots=True)
class FedNet:
    """A net with what feeds it."""

    net: Net
    feed: Feed


@dataclass(frozen=True, slots=True, kw_only=True)
class NetFile:
    """A net, where it stands, and the state in which it is built."""

    message: Any  # NetParameter
    folder: Path  # its data sources may stand here
    state: Any  # NetState


def load_net(path: Path) -> Any:
    """The NetParameter in `path`.

    Raises:
        CheckFailed: no such file; with line and column when it is no net.
    """
    return _read(path, text.read_net)


def load_solver(path: Path) -> Any:
    """The SolverParameter in `path`. Raises as `load_net`."""
    return _read(path, text.read_solver)


def _read(path: Path, read: Any) -> Any:
    try:
        return read(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckFailed(f"{path} cannot be read: {error.strerror or error}") from error
    except text.PrototxtError as error:
        raise CheckFailed(f"{path}: {error}") from error
    except UnicodeDecodeError as error:
        raise CheckFailed(f"{path} is no text: {error}") from error


def solver_nets(solver: Any, folder: Path) -> list[NetFile]:
    """The net that `solver` (a file in `folder`) trains, then those that it tests.

    Raises:
        CheckFailed: what keeps the solver from training, or a net that cannot be read.
    """
    problems = solver_problems(solver)
    check(not problems, f"the solver {problems[0] if problems else ''}")
    return [_net_file(use, folder) for use in nets_of(solver)]


def _net_file(use: NetUse, folder: Path) -> NetFile:
    message = use.net
    if message is None:
        path = find_beside(use.file, folder)
        message, folder = load_net(path), path.parent
    return NetFile(message=message, folder=folder, state=use.state(message))


def find_beside(name: str, folder: Path) -> Path:
    """A file that the solver names: where the program runs, as for Caffe, or else beside the solver."""
    path = Path(name)
    return path if path.exists() else folder / path


def build(
    file: NetFile,
    *,
    seed: int,
    generator: torch.Generator,
    device: torch.device,
    share: Net | None = None,
) -> FedNet:
    """Open the net's data, then make the net.

    Raises:
        CheckFailed, NetError: naming the layer.
    """
    state = file.state
    training = state.phase == TRAIN
    plan = plan_net(file.message, state.phase, state.level, tuple(state.stage))
    origin = Origin(folder=file.folder, training=training, seed=seed)
    readers = []
    for one in plan:
        if not one.is_data:
            continue
        reader = make_reader(one.layer, one.name, origin)
        if reader is None:
            raise CheckFailed(
                f'layer "{one.name}" ({one.type}) is fed by a program; a training from the command line needs '
                "Data, ImageData, HDF5Data or DummyData"
            )
        readers.append((one, reader))
    shaped = infer_shapes(plan, {one.name: reader.items for one, reader in readers})
    if training and device.type == "cpu":
        _check_memory(parameter_count(shaped) or 0)
    net = Net(shaped, training=training, generator=generator, device=device, share=share)
    feed = Feed([(one.tops, reader) for one, reader in readers], net.label_ranges(), device)
    return FedNet(net, feed)


def _check_memory(parameters: int) -> None:
    """A net that cannot fit is refused before it is filled: that would end other trainings of the machine, too."""
    needed = 2 * 4 * parameters  # float32, each with its gradient
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    check(
        needed <= there,
        f"the net's {parameters:,} parameters need {needed / 2**30:.0f} GiB with their gradients, "
        f"and this machine has {there / 2**30:.0f}",
    )
