"""transform_param: crop, mean, scale, mirror, in the order in which Caffe does them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tuning_service.caffe import wire
from tuning_service.caffe.checks import CheckFailed, check
from tuning_service.caffe.data.images import Pixels

Batch = npt.NDArray[np.float32]


class Transform:
    """Makes batches of (items, channels, height, width) from images of one size, or of any size with crop_size."""

    def __init__(self, message: Any, *, training: bool, find: Callable[[str], Path]) -> None:
        self.crop = int(message.crop_size)
        self._scale, self._mirror, self._training = float(message.scale), bool(message.mirror), training
        values = np.asarray(message.mean_value, np.float32)
        check(
            not (message.mean_file and len(values)),
            "transform_param has both mean_file and mean_value; keep one of them",
        )
        self._values = values.reshape(-1, 1, 1) if len(values) else None
        self._mean = _mean(find(message.mean_file)) if message.mean_file else None

    def shape(self, image: tuple[int, ...]) -> tuple[int, ...]:
        """(channels, height, width) of what becomes of an image of such a shape."""
        if len(image) != 3:
            check(
                not self.crop
                and not self._mirror
                and self._mean is None
                and (self._values is None or self._values.size == 1),
                "rows of numbers are no images: of transform_param they take scale and one mean_value",
            )
            return tuple(image)
        channels, height, width = image
        if self._mean is not None:
            check(
                self._mean.shape == tuple(image),
                f"the mean_file has the shape {self._mean.shape}, the images have {image}",
            )
        if self._values is not None:
            check(
                len(self._values) in {1, channels},
                f"transform_param has {len(self._values)} mean_value fields; give 1, or {channels} as channels are",
            )
        if not self.crop:
            return tuple(image)
        check(
            self.crop <= min(height, width),
            f"crop_size {self.crop} is larger than an image of {height} x {width} pixels",
        )
        return channels, self.crop, self.crop

    def apply(self, images: Sequence[Pixels] | Pixels, rng: np.random.Generator, where: Callable[[int], str]) -> Batch:
        """`where` names an image of the sequence, for errors."""
        first = images[0].shape
        if isinstance(images, np.ndarray) and self.shape(first) == first:
            made = images.astype(np.float32)
            if self._mean is not None:
                made -= self._mean
        else:
            made = self._cut(images, rng, where)
        if self._values is not None:
            made -= self._values if made.ndim > 2 else self._values.item()
        if self._scale != 1:
            made *= self._scale
        if self._mirror:
            turned = rng.integers(2, size=len(made)) == 1
            made[turned] = made[turned, :, :, ::-1]
        return made

    def _cut(self, images: Sequence[Pixels] | Pixels, rng: np.random.Generator, where: Callable[[int], str]) -> Batch:
        """Each image cropped, less its part of the mean."""
        first = images[0].shape
        made = np.empty((len(images), *self.shape(first)), np.float32)
        for index, image in enumerate(images):
            if image.shape != first and (not self.crop or image.shape[0] != first[0]):
                raise CheckFailed(
                    f"{where(index)} has the shape {image.shape}, the first of its batch {first}: "
                    "all images must be alike, or be cut with crop_size or resized with new_height and new_width"
                )
            area = self._area(image.shape, rng)
            made[index] = image[area]
            if self._mean is not None:
                made[index] -= self._mean[area]
        return made

    def _area(self, image: tuple[int, ...], rng: np.random.Generator) -> tuple[slice, ...]:
        """Anywhere while training, else the centre."""
        _, high, wide = self.shape(image)
        top, left = image[1] - high, image[2] - wide
        if self._training:
            top, left = int(rng.integers(top + 1)), int(rng.integers(left + 1))
        else:
            top, left = top // 2, left // 2
        return slice(None), slice(top, top + high), slice(left, left + wide)


def _mean(path: Path) -> Batch:
    try:
        mean = np.load(path, allow_pickle=False) if path.suffix == ".npy" else wire.read_blob(path.read_bytes())
    except (OSError, ValueError, CheckFailed) as error:
        raise CheckFailed(f"the mean_file {path} cannot be read: {error}") from error
    mean = mean.reshape(mean.shape[-3:]) if mean.ndim > 3 else mean
    check(mean.ndim == 3, f"the mean_file {path} has {mean.ndim} axes; 3 are (channels, height, width)")
    return np.asarray(mean, np.float32)
