"""What is wrong with a solver by itself, and which nets it trains and tests, in which states."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tuning_service.caffe.schema import TEST, TRAIN, NetState

TYPES = ("SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam")
# Policies of the learning rate, and the fields that each needs.
POLICIES = {
    "fixed": (),
    "step": ("gamma", "stepsize"),
    "exp": ("gamma",),
    "inv": ("gamma", "power"),
    "multistep": ("gamma", "stepvalue"),
    "poly": ("power",),
    "sigmoid": ("gamma", "stepsize"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NetUse:
    """A net that a solver names (`file`, as it stands there) or holds (`net`), and the state it is used in."""

    field: str  # of the solver
    file: str
    net: Any  # NetParameter, or None when it is in `file`
    phase: int
    given: Any  # NetState, as the solver says it

    def state(self, net: Any) -> Any:
        """The NetState in which `net`, the one of this use, takes part."""
        state = NetState()
        state.MergeFrom(net.state)
        state.MergeFrom(self.given)
        state.phase = self.phase
        return state


def solver_problems(solver: Any) -> list[str]:
    """What keeps the solver from training, each in a sentence with what to write; empty when nothing does."""
    return [*_net_problems(solver), *_rate_problems(solver), *_other_problems(solver), *_test_problems(solver)]


def nets_of(solver: Any) -> tuple[NetUse, ...]:
    """The net that is trained, then those that are tested, of a solver without `solver_problems`."""
    uses = [_use(solver, _training_source(solver), TRAIN, solver.train_state)]
    for index, source in enumerate(_test_sources(solver)):
        state = solver.test_state[index] if index < len(solver.test_state) else NetState()
        uses.append(_use(solver, source, TEST, state))
    return tuple(uses)


_Source = tuple[str, int]  # field of the solver, and index in it


def _training_source(solver: Any) -> _Source:
    return (_training_sources(solver)[0], 0)


def _training_sources(solver: Any) -> list[str]:
    return [name for name in ("net", "net_param", "train_net", "train_net_param") if solver.HasField(name)]


def _test_sources(solver: Any) -> list[_Source]:
    named = [("test_net_param", index) for index in range(len(solver.test_net_param))]
    named += [("test_net", index) for index in range(len(solver.test_net))]
    shared = next((name for name in ("net", "net_param") if solver.HasField(name)), None)
    # What is left of test_iter tests the net that is trained, in phase TEST.
    return named + [(shared, 0)] * (len(solver.test_iter) - len(named)) if shared else named


def _use(solver: Any, source: _Source, phase: int, given: Any) -> NetUse:
    field, index = source
    value = getattr(solver, field)
    value = value[index] if field in {"test_net", "test_net_param"} else value
    if isinstance(value, str):
        return NetUse(field=field, file=value, net=None, phase=phase, given=given)
    return NetUse(field=field, file="", net=value, phase=phase, given=given)


def _net_problems(solver: Any) -> Iterator[str]:
    sources = _training_sources(solver)
    if not sources:
        yield 'names no net to train; write net: "net.prototxt"'
    elif len(sources) > 1:
        yield f"names a net to train in {' and in '.join(sources)}; keep one of them"


def _rate_problems(solver: Any) -> Iterator[str]:
    if not solver.HasField("base_lr"):
        yield "has no base_lr"
    elif not solver.base_lr >= 0:
        yield f"has the base_lr {solver.base_lr:g}; it must not be below 0"
    if not solver.HasField("lr_policy"):
        yield f"has no lr_policy; use one of {', '.join(POLICIES)}"
    elif solver.lr_policy not in POLICIES:
        yield f"has the lr_policy {solver.lr_policy!r}; use one of {', '.join(POLICIES)}"
    else:
        for name in POLICIES[solver.lr_policy]:
            given = bool(solver.stepvalue) if name == "stepvalue" else solver.HasField(name)
            if not given:
                yield f"has the lr_policy {solver.lr_policy!r}, which needs {name}"
            elif name == "stepsize" and solver.stepsize < 1:
                yield f"has the stepsize {solver.stepsize}; it must be above 0"


def _other_problems(solver: Any) -> Iterator[str]:
    if solver.max_iter < 1:
        yield "needs a max_iter above 0"
    if solver.type not in TYPES:
        yield f"has the type {solver.type!r}; use one of {', '.join(TYPES)}"
    if solver.type in {"AdaGrad", "RMSProp"} and solver.momentum:
        yield f"has a momentum, which {solver.type} does not take"
    if solver.type == "RMSProp" and not 0 <= solver.rms_decay < 1:
        yield f"has the rms_decay {solver.rms_decay:g}; it must be at least 0 and below 1"
    if solver.regularization_type not in {"L1", "L2"}:
        yield f"has the regularization_type {solver.regularization_type!r}; use L1 or L2"
    for name in ("iter_size", "average_loss"):
        if getattr(solver, name) < 1:
            yield f"has the {name} {getattr(solver, name)}; it must be above 0"


def _test_problems(solver: Any) -> Iterator[str]:
    named = len(solver.test_net) + len(solver.test_net_param)
    shared = any(solver.HasField(name) for name in ("net", "net_param"))
    iters, states = len(solver.test_iter), len(solver.test_state)
    if iters < named or (iters > named and not shared):
        yield f"has {iters} test_iter fields for {named} test nets; give one for each"
    if solver.test_interval > 0 and not iters:
        yield "has a test_interval and no test_iter, which says how many batches a test has"
    if any(count < 1 for count in solver.test_iter):
        yield "has a test_iter below 1"
    if iters and solver.test_interval < 1:
        yield "has test_iter and no test_interval above 0, which says after how many iterations a test comes"
    if states and states != max(iters, named):
        yield f"has {states} test_state fields for {max(iters, named)} tests; give none, or one for each"
