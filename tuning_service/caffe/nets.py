"""The nets that a solver trains and tests, built with the readers of their data."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tuning_service.caffe import text
from tuning_service.caffe.checks import CheckFailed, check
from tuning_service.caffe.compile import Net
from tuning_service.caffe.data import Feed, Origin, make_reader
from tuning_service.caffe.net import plan_net
from tuning_service.caffe.schema import TEST, TRAIN, NetState
from tuning_service.caffe.shapes import infer_shapes


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


def training_net(solver: Any, folder: Path) -> NetFile:
    """The one net that `solver` (a file in `folder`) trains.

    Raises:
        CheckFailed: it names none, or several.
    """
    named = [name for name in ("net_param", "train_net_param", "net", "train_net") if solver.HasField(name)]
    check(named, "the solver names no net: it must have net or train_net")
    check(len(named) == 1, f"the solver names several nets to train: {', '.join(named)}; keep one of them")
    given = getattr(solver, named[0])
    return _net_file(given, folder, TRAIN, [solver.train_state] if solver.HasField("train_state") else [])


def testing_nets(solver: Any, folder: Path) -> list[NetFile]:
    """The nets that `solver` tests: those of their own first, then the common one for each test_iter that is left.

    Raises:
        CheckFailed: their numbers do not go together.
    """
    own: list[Any] = [*solver.test_net_param, *solver.test_net]
    common = next((getattr(solver, name) for name in ("net_param", "net") if solver.HasField(name)), None)
    left = len(solver.test_iter) - len(own)
    check(left >= 0, f"the solver has {len(own)} test nets and {len(solver.test_iter)} test_iter; give one for each")
    check(not left or common is not None, "the solver has more test_iter than test nets, and no net for the others")
    nets = own + [common] * left
    check(not nets or solver.test_interval > 0, "the solver has test nets, and no test_interval")
    states = list(solver.test_state)
    check(
        len(states) in {0, len(nets)},
        f"the solver has {len(states)} test_state and {len(nets)} test nets; give one for each",
    )
    return [_net_file(net, folder, TEST, states[i : i + 1]) for i, net in enumerate(nets)]


def _net_file(given: Any, folder: Path, phase: int, states: Sequence[Any]) -> NetFile:
    if isinstance(given, str):
        path = find_beside(given, folder)
        message, folder = load_net(path), path.parent
    else:
        message = given
    state = NetState()
    if message.HasField("state"):
        state.CopyFrom(message.state)
    for more in states:
        state.MergeFrom(more)
    state.phase = phase
    return NetFile(message=message, folder=folder, state=state)


def find_beside(name: str, folder: Path) -> Path:
    """A file that the solver names: beside it, or where the program runs."""
    path = Path(name)
    beside = folder / path
    return path if path.is_absolute() or (not beside.exists() and path.exists()) else beside


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
    net = Net(shaped, training=training, generator=generator, device=device, share=share)
    feed = Feed([(one.tops, reader) for one, reader in readers], net.label_ranges(), device)
    return FedNet(net, feed)
