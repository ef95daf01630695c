"""Image files, decoded as Caffe has them: channels first, blue before green before red, or one channel of grey."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tuning_service.caffe.checks import CheckFailed

Pixels = npt.NDArray[Any]

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})


def decode(data: bytes | Path, where: str, *, color: bool | None = True, size: tuple[int, int] | None = None) -> Pixels:
    """(channels, height, width) of uint8; `color` None keeps what the file has; `size` is (height, width).

    Raises:
        CheckFailed: naming `where`, when it is no image that can be read.
    """
    try:
        from PIL import Image
    except ImportError:
        raise CheckFailed("images need the Python package pillow, which is not installed here") from None
    try:
        with Image.open(io.BytesIO(data) if isinstance(data, bytes) else data) as image:
            grey = image.mode in {"1", "L", "I", "I;16"} if color is None else not color
            picture: Any = image.convert("L" if grey else "RGB")
    except Exception as error:  # decoders raise what they like: OSError, SyntaxError, struct.error …
        raise CheckFailed(f"Could not load {where}: {_short(error)}") from error
    if size is not None:
        picture = picture.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    pixels = np.asarray(picture)
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels[:, :, ::-1].transpose(2, 0, 1))


def _short(error: BaseException) -> str:
    text = str(error).splitlines()
    # Pillow prints the object that it read from, which says nothing.
    return "not an image, or broken" if not text or "cannot identify" in text[0] else text[0][:200]
