"""What a layer of the runtime is. One module per family beside this; each registers itself under its type's name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from tuning_service.caffe.checks import CheckFailed

Shape = tuple[int, ...]
Tops = Tensor | tuple[Tensor, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a layer is made from: its message, and what the plan says of it."""

    name: str
    message: Any  # LayerParameter
    bottoms: tuple[Shape, ...]
    tops: tuple[Shape, ...]
    training: bool  # phase TRAIN


class Layer(nn.Module):
    """`forward` takes the bottoms and returns the top, or a tuple of several.

    A layer is made first, then given each blob that the plan names for it, in Caffe's order, by `adopt`. Bottoms are
    never changed, except by a layer with `inplace` set: the compiler sets it where nobody can notice.
    """

    BLOBS: ClassVar[tuple[str, ...]] = ()
    CAN_WORK_INPLACE: ClassVar[bool] = False

    def __init__(self, setting: Setting) -> None:
        super().__init__()
        self.setting = setting
        self.inplace = False

    def adopt(self, index: int, blob: Tensor) -> None:
        """Use `blob`, which other layers and nets may share."""
        setattr(self, self.BLOBS[index], blob)

    def forward(self, *bottoms: Tensor) -> Tops:
        """The tops."""
        raise NotImplementedError(bottoms)


_LAYERS: dict[str, type[Layer]] = {}


def layer(*names: str) -> Callable[[type[Layer]], type[Layer]]:
    """Class decorator: make it found under these type names."""

    def register(cls: type[Layer]) -> type[Layer]:
        for name in names:
            _LAYERS[name] = cls
        return cls

    return register


def make_layer(setting: Setting) -> Layer:
    """The layer for a planned one.

    Raises:
        CheckFailed: no such type here.
    """
    found = _LAYERS.get(setting.message.type)
    if found is None:
        raise CheckFailed(f'layer "{setting.name}": type "{setting.message.type}" cannot be trained here')
    return found(setting)


def known_layers() -> tuple[str, ...]:
    """Type names of all layers that compute something; data layers are readers."""
    return tuple(sorted(_LAYERS))
