"""One reader for each data layer: batch number in, arrays for its tops out."""

import os
import zlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tuning_service.caffe.checks import CheckFailed, check
from tuning_service.caffe.data.order import Order
from tuning_service.caffe.data.sources import ImageFiles, Images, open_images, read_list
from tuning_service.caffe.data.transform import Transform
from tuning_service.caffe.fillers import fill

Shape = tuple[int, ...]
Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a reader needs beside its layer: the net's folder, its phase, the seed of the training."""

    folder: Path
    training: bool
    seed: int

    def find(self, name: str) -> Path:
        """A file that a prototxt names: where the program runs (as Caffe), beside the prototxt, or under DATA_DIR."""
        path = Path(name)
        if path.is_absolute():
            return path
        folders = [Path(), self.folder, *([Path(os.environ["DATA_DIR"])] if os.environ.get("DATA_DIR") else [])]
        found = [folder / path for folder in folders if (folder / path).exists()]
        return found[0] if found else folders[-1] / path

    def seed_of(self, layer: str) -> int:
        """Layers and phases draw independently of each other."""
        return zlib.crc32(f"{self.seed} {self.training} {layer}".encode())


class Reader(ABC):
    """`shapes` are those of the tops, batch first; `items` of one item each, before transform_param.

    Used from one thread at a time.
    """

    shapes: tuple[Shape, ...]
    items: tuple[Shape, ...]

    @abstractmethod
    def batch(self, number: int) -> tuple[Array, ...]:
        """The tops of batch `number`: the same whenever it is asked for.

        Raises:
            CheckFailed: naming what cannot be read.
        """

    def where(self, number: int, index: int) -> str:
        """How a person finds the sample at `index` in batch `number`."""
        return f"sample {index} of batch {number}"


def make_reader(layer: Any, name: str, origin: Origin) -> Reader | None:
    """For a data layer's message; None when a program must feed it (Input, MemoryData).

    Raises:
        CheckFailed: its data cannot be read.
    """
    try:
        match layer.type:
            case "Data":
                return ImageReader(layer, name, origin, _data_images(layer, origin), layer.data_param)
            case "ImageData":
                return ImageReader(layer, name, origin, _listed_images(layer, origin), layer.image_data_param)
            case "HDF5Data":
                return Hdf5Reader(layer, name, origin)
            case "DummyData":
                return DummyReader(layer, name, origin)
            case _:
                return None
    except CheckFailed as error:
        raise CheckFailed(f'layer "{name}": {error}') from error


def _colour(transform: Any) -> bool | None:
    if transform.force_color or transform.force_gray:
        return bool(transform.force_color)
    return None


def _data_images(layer: Any, origin: Origin) -> Images:
    check(layer.data_param.source, "data_param names no source")
    color = True if layer.data_param.force_encoded_color else _colour(layer.transform_param)
    return open_images(origin.find(layer.data_param.source), color=color)


def _listed_images(layer: Any, origin: Origin) -> Images:
    message = layer.image_data_param
    check(message.source, "image_data_param names no source")
    root = message.root_folder
    if root:
        # Only a folder that exists is looked for: a prefix of names may stand here too.
        folder = origin.find(root)
        root = f"{folder}/" if folder.is_dir() else root
    size = (int(message.new_height), int(message.new_width))
    check(all(size) or not any(size), "new_height and new_width must be given together")
    files = read_list(origin.find(message.source), root)
    return ImageFiles(files, color=message.is_color, size=size if any(size) else None, shuffled=False)


class ImageReader(Reader):
    """Tops: images and, if there is a second, labels."""

    def __init__(self, layer: Any, name: str, origin: Origin, images: Images, message: Any) -> None:
        self._images = images
        self._seed = origin.seed_of(name)
        self._batch = int(message.batch_size)
        check(self._batch > 0, "batch_size must be above 0")
        check(len(images) > 0, f"the data source {message.source} is empty")
        self._transform = Transform(layer.transform_param, training=origin.training, find=origin.find)
        shuffled = (images.shuffled and origin.training) or getattr(message, "shuffle", False)
        rng = np.random.default_rng((self._seed, 1))
        skip = int(rng.integers(message.rand_skip)) if message.rand_skip else 0
        self._order = Order([len(images)], self._batch, seed=self._seed if shuffled else None, skip=skip)
        first, _ = images.read(np.array([0]))
        self.shapes = ((self._batch, *self._transform.shape(first[0].shape)), (self._batch,))[: len(layer.top)]
        self.items = (tuple(first[0].shape), ())

    def batch(self, number: int) -> tuple[Array, ...]:
        items = self._order.batch(number)
        images, labels = self._images.read(items)
        rng = np.random.default_rng((self._seed, 2, number))
        made = self._transform.apply(images, rng, lambda index: self._images.where(int(items[index])))
        if made.shape[1:] != self.shapes[0][1:]:
            raise CheckFailed(f"{self.where(number, 0)} gives the shape {made.shape[1:]}, not {self.shapes[0][1:]}")
        return (made, np.asarray(labels, np.float32))[: len(self.shapes)]

    def where(self, number: int, index: int) -> str:
        return self._images.where(int(self._order.batch(number)[index]))


class Hdf5Reader(Reader):
    """Tops are the data sets of their names. One file at a time is held in memory."""

    def __init__(self, layer: Any, name: str, origin: Origin) -> None:
        message = layer.hdf5_data_param
        check(message.source, "hdf5_data_param names no source")
        self._batch = int(message.batch_size)
        check(self._batch > 0, "batch_size must be above 0")
        self._names = list(layer.top)
        self._files = _listed_files(origin.find(message.source), origin)
        shapes = [self._shapes(path) for path in self._files]
        for path, shape in zip(self._files, shapes, strict=True):
            check(
                [s[1:] for s in shape] == [s[1:] for s in shapes[0]],
                f"{path} has data sets of other shapes than {self._files[0]}",
            )
        counts = [shape[0][0] for shape in shapes]
        check(sum(counts) > 0, f"the files of {message.source} are empty")
        self._ends = np.cumsum(counts)
        self._order = Order(counts, self._batch, seed=origin.seed_of(name) if message.shuffle else None)
        self.items = tuple(shape[1:] for shape in shapes[0])
        self.shapes = tuple((self._batch, *item) for item in self.items)
        self._loaded: tuple[int, list[Array]] | None = None

    def _open(self, path: Path) -> Any:
        try:
            import h5py
        except ImportError:
            raise CheckFailed("HDF5 files need the Python package h5py, which is not installed here") from None
        try:
            return h5py.File(path, "r")
        except OSError as error:
            raise CheckFailed(f"{path} cannot be read as HDF5: {error}") from error

    def _shapes(self, path: Path) -> list[Shape]:
        with self._open(path) as file:
            for name in self._names:
                check(name in file, f"{path} has no data set named {name}; it has {', '.join(file) or 'none'}")
            shapes = [tuple(int(n) for n in file[name].shape) for name in self._names]
        check(len({shape[0] for shape in shapes}) == 1, f"the data sets of {path} are not equally long")
        return shapes

    def _arrays(self, number: int) -> list[Array]:
        if self._loaded is None or self._loaded[0] != number:
            with self._open(self._files[number]) as file:
                self._loaded = number, [np.asarray(file[name], np.float32) for name in self._names]
        return self._loaded[1]

    def batch(self, number: int) -> tuple[Array, ...]:
        items = self._order.batch(number)
        files = np.searchsorted(self._ends, items, side="right")
        made = tuple(np.empty(shape, np.float32) for shape in self.shapes)
        for file in dict.fromkeys(files.tolist()):
            chosen = files == file
            rows = items[chosen] - (self._ends[file - 1] if file else 0)
            for top, array in zip(made, self._arrays(file), strict=True):
                top[chosen] = array[rows]
        return made

    def where(self, number: int, index: int) -> str:
        item = int(self._order.batch(number)[index])
        file = int(np.searchsorted(self._ends, item, side="right"))
        return f"row {item - (int(self._ends[file - 1]) if file else 0)} of {self._files[file]}"


def _listed_files(path: Path, origin: Origin) -> list[Path]:
    try:
        names = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckFailed(f"the list of HDF5 files {path} cannot be read: {error}") from error
    files = [origin.find(name.strip()) for name in names if name.strip()]
    check(files, f"the list of HDF5 files {path} is empty")
    return [file if file.exists() or not (path.parent / file).exists() else path.parent / file for file in files]


class DummyReader(Reader):
    """Constants, or drawn anew for each batch."""

    def __init__(self, layer: Any, name: str, origin: Origin) -> None:
        message = layer.dummy_data_param
        tops = len(layer.top)
        self.shapes = tuple(self._shape(message, index) for index in range(tops))
        self.items = tuple(shape[1:] for shape in self.shapes)
        check(len(message.data_filler) in {0, 1, tops}, f"data_filler is given {len(message.data_filler)} times")
        fillers = list(message.data_filler) or [None]
        self._fillers = fillers * tops if len(fillers) == 1 else fillers
        self._seed = origin.seed_of(name)
        self._constant = all(filler is None or filler.type in {"", "constant"} for filler in self._fillers)
        self._made: tuple[Array, ...] | None = None

    @staticmethod
    def _shape(message: Any, index: int) -> Shape:
        if message.shape:
            return tuple(int(d) for d in message.shape[index if len(message.shape) > 1 else 0].dim)
        fields = (message.num, message.channels, message.height, message.width)
        check(all(fields), "dummy_data_param has no shape")
        return tuple(int(values[index if len(values) > 1 else 0]) for values in fields)

    def batch(self, number: int) -> tuple[Array, ...]:
        if self._made is None or not self._constant:
            generator = torch.Generator().manual_seed((self._seed << 24) + number)
            self._made = tuple(
                np.zeros(shape, np.float32) if filler is None else fill(filler, shape, generator).numpy()
                for filler, shape in zip(self._fillers, self.shapes, strict=True)
            )
        return self._made
