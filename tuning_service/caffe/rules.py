"""How solvers change blobs: Caffe's update rules, each on lists of tensors at once."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from tuning_service.caffe.checks import CheckFailed, check
from tuning_service.caffe.compile import Learned


class _Group:
    """Blobs with the same multipliers: changed together, by one call per operation."""

    def __init__(self, lr_mult: float, decay_mult: float, histories: int) -> None:
        self.lr_mult, self.decay_mult = lr_mult, decay_mult
        self.parameters: list[Tensor] = []
        self.histories: list[list[Tensor]] = [[] for _ in range(histories)]

    def gradients(self) -> list[Tensor]:
        for parameter in self.parameters:
            if parameter.grad is None:
                # Not reached by any loss: it still decays, and still has its momentum.
                parameter.grad = torch.zeros_like(parameter)
        return [parameter.grad for parameter in self.parameters if parameter.grad is not None]


class Rule(ABC):
    """One solver type. `step` uses up the gradients that backward has left."""

    HISTORIES: ClassVar[int] = 1
    TAKES_MOMENTUM: ClassVar[bool] = True

    def __init__(self, solver: Any, learned: Sequence[Learned]) -> None:
        """Raises CheckFailed for a solver's settings that do not go together."""
        self.momentum = float(solver.momentum)
        check(
            self.TAKES_MOMENTUM or not self.momentum,
            f"momentum cannot be used with {solver.type}; leave it out of the solver",
        )
        self.decay, self.clip = float(solver.weight_decay), float(solver.clip_gradients)
        self.kind, self.iter_size = solver.regularization_type, int(solver.iter_size)
        check(self.kind in {"L1", "L2"}, f'regularization_type is "{self.kind}"; known are L1 and L2')
        check(self.iter_size > 0, "iter_size must be above 0")
        self._learned = list(learned)
        groups: dict[tuple[float, float], _Group] = {}
        self._of: list[tuple[_Group, int] | None] = []
        for one in self._learned:
            if not one.parameter.requires_grad:
                self._of.append(None)
                continue
            key = (one.lr_mult, one.decay_mult)
            group = groups.setdefault(key, _Group(*key, self.HISTORIES))
            self._of.append((group, len(group.parameters)))
            group.parameters.append(one.parameter)
            for history in group.histories:
                history.append(torch.zeros_like(one.parameter, requires_grad=False))
        self._groups = list(groups.values())

    @torch.no_grad()
    def step(self, rate: float, iteration: int) -> None:
        """Change the blobs by their gradients, which are then gone. `iteration` counts from 0."""
        gradients = [group.gradients() for group in self._groups]
        if self.clip >= 0:
            self._clip([gradient for some in gradients for gradient in some])
        for group, some in zip(self._groups, gradients, strict=True):
            if self.iter_size > 1:
                torch._foreach_mul_(some, 1 / self.iter_size)
            self._decay(group, some)
            self.update(group, some, rate * group.lr_mult, iteration)
            for parameter in group.parameters:
                parameter.grad = None

    @abstractmethod
    def update(self, group: _Group, gradients: list[Tensor], rate: float, iteration: int) -> None:
        """Change the blobs of `group` and its histories; `gradients` may be overwritten."""

    def history(self) -> list[Tensor]:
        """In Caffe's order: the first history of all blobs, then the second; zeros for what does not learn."""
        return [
            torch.zeros_like(one.parameter, requires_grad=False)
            if place is None
            else place[0].histories[which][place[1]]
            for which in range(self.HISTORIES)
            for one, place in zip(self._learned, self._of, strict=True)
        ]

    def restore(self, history: Sequence[Any]) -> None:
        """Take what `history` gave, as arrays.

        Raises:
            CheckFailed: it is of another net or another type of solver.
        """
        mine = self.history()
        check(
            len(mine) == len(history) and all(a.numel() == b.size for a, b in zip(mine, history, strict=True)),
            "the solver state is of another net or another type of solver",
        )
        for tensor, array in zip(mine, history, strict=True):
            tensor.copy_(torch.from_numpy(array.copy()).reshape(tensor.shape))

    def _clip(self, gradients: list[Tensor]) -> None:
        norms = torch.stack(torch._foreach_norm(gradients))
        # On the device: asking for the number would wait for it.
        scale = (self.clip / torch.linalg.vector_norm(norms)).clamp(max=1.0)
        torch._foreach_mul_(gradients, scale)

    def _decay(self, group: _Group, gradients: list[Tensor]) -> None:
        decay = self.decay * group.decay_mult
        if not decay:
            return
        pull = group.parameters if self.kind == "L2" else torch._foreach_sign(group.parameters)
        torch._foreach_add_(gradients, pull, alpha=decay)


class Sgd(Rule):
    """v = momentum * v + rate * gradient; w -= v."""

    def update(self, group: _Group, gradients: list[Tensor], rate: float, iteration: int) -> None:
        del iteration
        history = group.histories[0]
        torch._foreach_mul_(history, self.momentum)
        torch._foreach_add_(history, gradients, alpha=rate)
        torch._foreach_sub_(group.parameters, history)


class Nesterov(Rule):
    """v as in SGD; w -= (1 + momentum) * v - momentum * (v before)."""

    def update(self, group: _Group, gradients: list[Tensor], rate: float, iteration: int) -> None:
        del iteration
        history = group.histories[0]
        torch._foreach_add_(group.parameters, history, alpha=self.momentum)
        torch._foreach_mul_(history, self.momentum)
        torch._foreach_add_(history, gradients, alpha=rate)
        torch._foreach_sub_(group.parameters, history, alpha=1 + self.momentum)


class AdaGrad(Rule):
    """h += gradient²; w -= rate * gradient / (sqrt(h) + delta)."""

    TAKES_MOMENTUM: ClassVar[bool] = False

    def __init__(self, solver: Any, learned: Sequence[Learned]) -> None:
        super().__init__(solver, learned)
        self.delta = float(solver.delta)

    def update(self, group: _Group, gradients: list[Tensor], rate: float, iteration: int) -> None:
        del iteration
        torch._foreach_addcmul_(group.histories[0], gradients, gradients)
        self.divided(group, gradients, rate)

    def divided(self, group: _Group, gradients: list[Tensor], rate: float) -> None:
        roots = torch._foreach_sqrt(group.histories[0])
        torch._foreach_add_(roots, self.delta)
        torch._foreach_addcdiv_(group.parameters, gradients, roots, value=-rate)


class RmsProp(AdaGrad):
    """h = rms_decay * h + (1 - rms_decay) * gradient², else as AdaGrad."""

    def __init__(self, solver: Any, learned: Sequence[Learned]) -> None:
        super().__init__(solver, learned)
        self.fading = float(solver.rms_decay)
        check(0 <= self.fading < 1, f"rms_decay is {self.fading:g}; it must be in [0, 1)")

    def update(self, group: _Group, gradients: list[Tensor], rate: float, iteration: int) -> None:
        del iteration
        torch._foreach_mul_(group.histories[0], self.fading)
        torch._foreach_addcmul_(group.histories[0], gradients, gradients, value=1 - self.fading)
        self.divided(group, gradients, rate)


class AdaDelta(Rule):
    """Both histories fade by momentum: of gradients² and of changes²."""

    HISTORIES: ClassVar[int] = 2

    def __init__(self, solver: Any, learned: Sequence[Learned]) -> None:
        super().__init__(solver, learned)
        self.delta = float(solver.delta)

    def update(self, group: _Group, gradients: list[Tensor], rate: float, iteration: int) -> None:
        del iteration
        seen, changed = group.histories
        torch._foreach_mul_(seen, self.momentum)
        torch._foreach_addcmul_(seen, gradients, gradients, value=1 - self.momentum)
        ratio = torch._foreach_add(changed, self.delta)
        torch._foreach_div_(ratio, torch._foreach_add(seen, self.delta))
        torch._foreach_sqrt_(ratio)
        torch._foreach_mul_(gradients, ratio)
        torch._foreach_mul_(changed, self.momentum)
        torch._foreach_addcmul_(changed, gradients, gradients, value=1 - self.momentum)
        torch._foreach_sub_(group.parameters, gradients, alpha=rate)


class Adam(Rule):
    """Both moments corrected through the rate, delta added to the root."""

    HISTORIES: ClassVar[int] = 2

    def __init__(self, solver: Any, learned: Sequence[Learned]) -> None:
        super().__init__(solver, learned)
        self.momentum2, self.delta = float(solver.momentum2), float(solver.delta)

    def update(self, group: _Group, gradients: list[Tensor], rate: float, iteration: int) -> None:
        first, second = group.histories
        torch._foreach_mul_(first, self.momentum)
        torch._foreach_add_(first, gradients, alpha=1 - self.momentum)
        torch._foreach_mul_(second, self.momentum2)
        torch._foreach_addcmul_(second, gradients, gradients, value=1 - self.momentum2)
        turn = iteration + 1
        correction = math.sqrt(1 - self.momentum2**turn) / (1 - self.momentum**turn)
        roots = torch._foreach_sqrt(second)
        torch._foreach_add_(roots, self.delta)
        torch._foreach_addcdiv_(group.parameters, first, roots, value=-rate * correction)


_RULES: dict[str, type[Rule]] = {
    "SGD": Sgd,
    "Nesterov": Nesterov,
    "AdaGrad": AdaGrad,
    "RMSProp": RmsProp,
    "AdaDelta": AdaDelta,
    "Adam": Adam,
}


def make_rule(solver: Any, learned: Sequence[Learned]) -> Rule:
    """The rule of the solver's `type`, with no history yet.

    Raises:
        CheckFailed: an unknown type, or settings that do not go together.
    """
    found = _RULES.get(solver.type)
    if found is None:
        raise CheckFailed(f'solver type is "{solver.type}"; known are {", ".join(_RULES)}')
    return found(solver, learned)
