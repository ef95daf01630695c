"""The nets, once as prototxt and once as anybody would write them for torch."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    name: str
    layers: str  # prototxt, from blob "data" to blob "scores"
    handwritten: Callable[[], nn.Module]
    batch: int
    shape: tuple[int, int, int]
    classes: int
    steps: int  # in one turn


def _layer(kind: str, name: str, bottom: str, top: str, settings: str = "") -> str:
    return f'layer {{ name: "{name}" type: "{kind}" bottom: "{bottom}" top: "{top}" {settings} }}\n'


_MULTIPLIERS = "param { lr_mult: 1 decay_mult: 1 } param { lr_mult: 2 decay_mult: 0 }"
_FILLER = 'weight_filler { type: "gaussian" std: 0.01 }'


class _Text:
    """Layers one after the other."""

    def __init__(self) -> None:
        self.text, self.top, self.number = "", "data", 0

    def convolution(self, outputs: int, kernel: int, *, pad: int = 0, stride: int = 1, group: int = 1) -> "_Text":
        window = f"kernel_size: {kernel} pad: {pad} stride: {stride} group: {group}"
        param = f"convolution_param {{ num_output: {outputs} {window} {_FILLER} }}"
        return self._add("Convolution", f"{_MULTIPLIERS} {param}")

    def dense(self, outputs: int) -> "_Text":
        return self._add("InnerProduct", f"{_MULTIPLIERS} inner_product_param {{ num_output: {outputs} {_FILLER} }}")

    def relu(self) -> "_Text":
        return self._add("ReLU", in_place=True)

    def pool(self, kind: str = "MAX") -> "_Text":
        return self._add("Pooling", f"pooling_param {{ pool: {kind} kernel_size: 3 stride: 2 }}")

    def lrn(self) -> "_Text":
        return self._add("LRN", "lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 }")

    def dropout(self) -> "_Text":
        return self._add("Dropout", "dropout_param { dropout_ratio: 0.5 }", in_place=True)

    def _add(self, kind: str, settings: str = "", *, in_place: bool = False) -> "_Text":
        self.number += 1
        top = self.top if in_place else f"b{self.number}"
        self.text += _layer(kind, f"l{self.number}", self.top, top, settings)
        self.top = top
        return self

    def finished(self) -> str:
        return self.text.replace(f'"{self.top}"', '"scores"')


def _cifar_text() -> str:
    made = _Text().convolution(32, 5, pad=2).pool().relu()
    made = made.convolution(32, 5, pad=2).relu().pool("AVE").convolution(64, 5, pad=2).relu().pool("AVE")
    return made.dense(64).dense(10).finished()


def _cifar() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 32, 5, padding=2),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.ReLU(inplace=True),
        nn.Conv2d(32, 32, 5, padding=2),
        nn.ReLU(inplace=True),
        nn.AvgPool2d(3, 2, ceil_mode=True),
        nn.Conv2d(32, 64, 5, padding=2),
        nn.ReLU(inplace=True),
        nn.AvgPool2d(3, 2, ceil_mode=True),
        nn.Flatten(),
        nn.Linear(1024, 64),
        nn.Linear(64, 10),
    )


def _alexnet_text(*, lrn: bool) -> str:
    made = _Text().convolution(96, 11, stride=4).relu()
    made = (made.lrn() if lrn else made).pool().convolution(256, 5, pad=2, group=2).relu()
    made = (made.lrn() if lrn else made).pool().convolution(384, 3, pad=1).relu()
    made = made.convolution(384, 3, pad=1, group=2).relu().convolution(256, 3, pad=1, group=2).relu().pool()
    return made.dense(4096).relu().dropout().dense(4096).relu().dropout().dense(1000).finished()


def _alexnet(*, lrn: bool) -> nn.Module:
    def norm() -> list[nn.Module]:
        return [nn.LocalResponseNorm(5, 1e-4, 0.75, 1.0)] if lrn else []

    return nn.Sequential(
        nn.Conv2d(3, 96, 11, stride=4),
        nn.ReLU(inplace=True),
        *norm(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(96, 256, 5, padding=2, groups=2),
        nn.ReLU(inplace=True),
        *norm(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(256, 384, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(384, 384, 3, padding=1, groups=2),
        nn.ReLU(inplace=True),
        nn.Conv2d(384, 256, 3, padding=1, groups=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2),
        nn.Flatten(),
        nn.Linear(9216, 4096),
        nn.ReLU(inplace=True),
        nn.Dropout(),
        nn.Linear(4096, 4096),
        nn.ReLU(inplace=True),
        nn.Dropout(),
        nn.Linear(4096, 1000),
    )


def cases(alexnet_batch: int) -> list[Case]:
    big = {"batch": alexnet_batch, "shape": (3, 227, 227), "classes": 1000, "steps": 1}
    return [
        Case(
            name="CIFAR10-quick",
            layers=_cifar_text(),
            handwritten=_cifar,
            batch=100,
            shape=(3, 32, 32),
            classes=10,
            steps=4,
        ),
        Case(name="AlexNet", layers=_alexnet_text(lrn=True), handwritten=lambda: _alexnet(lrn=True), **big),
        Case(
            name="AlexNet without LRN",
            layers=_alexnet_text(lrn=False),
            handwritten=lambda: _alexnet(lrn=False),
            **big,
        ),
    ]
