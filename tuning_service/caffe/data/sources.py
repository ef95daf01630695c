"""Sets of labelled images behind a Data or an ImageData layer: LMDB, folders of images, numpy files, lists of files."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tuning_service.caffe.checks import CheckFailed, check
from tuning_service.caffe.data.images import SUFFIXES, Pixels, decode
from tuning_service.caffe.schema import Datum


class Images(ABC):
    """Items are numbered from 0. Used from one thread at a time."""

    shuffled = False  # whether a training reads it in a new order each round without being asked to

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def read(self, items: np.ndarray) -> tuple[Sequence[Pixels] | Pixels, Sequence[int] | Pixels]:
        """Pixels (channels, height, width) and labels of `items`.

        Raises:
            CheckFailed: naming the item that cannot be read.
        """

    @abstractmethod
    def where(self, item: int) -> str:
        """How a person finds the item."""


class Lmdb(Images):
    """Datum records in the order of their keys."""

    def __init__(self, path: Path, *, color: bool | None) -> None:
        try:
            import lmdb
        except ImportError:
            raise CheckFailed(f"{path} is an LMDB, and the Python package lmdb is not installed here") from None
        self._path, self._color = path, color
        try:
            self._environment = lmdb.open(str(path), readonly=True, lock=False, readahead=False)
            self._transaction = lmdb.Transaction(self._environment, buffers=True)
            with self._transaction.cursor() as cursor:
                self._keys = [bytes(key) for key in cursor.iternext(keys=True, values=False)]
        except lmdb.Error as error:
            raise CheckFailed(f"{path} cannot be read as an LMDB: {error}") from error

    def __len__(self) -> int:
        return len(self._keys)

    def read(self, items: np.ndarray) -> tuple[Sequence[Pixels], Sequence[int]]:
        made = [self._one(int(item)) for item in items]
        return [pixels for pixels, _ in made], [label for _, label in made]

    def _one(self, item: int) -> tuple[Pixels, int]:
        datum = Datum()
        try:
            datum.ParseFromString(bytes(self._transaction.get(self._keys[item], b"")))
        except Exception as error:  # protobuf's DecodeError is no public name in all releases
            raise CheckFailed(f"{self.where(item)} is no Datum") from error
        if datum.encoded:
            return decode(datum.data, self.where(item), color=self._color), int(datum.label)
        shape = (datum.channels, datum.height, datum.width)
        flat: Any = np.frombuffer(datum.data, np.uint8) if datum.data else np.array(datum.float_data, np.float32)
        check(
            flat.size == np.prod(shape),
            f"{self.where(item)} has {flat.size} values, and says that its shape is {shape}",
        )
        return flat.reshape(shape), int(datum.label)

    def where(self, item: int) -> str:
        return f"record {self._keys[item].decode(errors='replace')!r} of {self._path}"


class ImageFiles(Images):
    """Files with labels, from a list or from one folder for each class."""

    def __init__(
        self, files: list[tuple[Path, int]], *, color: bool | None, size: tuple[int, int] | None, shuffled: bool
    ) -> None:
        self._files, self._color, self._size = files, color, size
        self.shuffled = shuffled

    def __len__(self) -> int:
        return len(self._files)

    def read(self, items: np.ndarray) -> tuple[Sequence[Pixels], Sequence[int]]:
        chosen = [self._files[int(item)] for item in items]
        pixels = [decode(path, str(path), color=self._color, size=self._size) for path, _ in chosen]
        return pixels, [label for _, label in chosen]

    def where(self, item: int) -> str:
        return str(self._files[item][0])


class Arrays(Images):
    """numpy arrays `data`, (items, channels, height, width), without the channels, or rows of numbers, and `label`."""

    shuffled = True

    def __init__(self, path: Path, data: Any, label: Any) -> None:
        self._path = path
        check(data.ndim in {2, 3, 4}, f"{path}: data has {data.ndim} axes; 4 are (items, channels, height, width)")
        check(
            label.shape[:1] == data.shape[:1] and label.size == len(label),
            f"{path}: data has {len(data)} items and label the shape {label.shape}; they must be as many",
        )
        # Images of one channel may come without that axis; rows of numbers stay rows.
        self._data = data[:, None] if data.ndim == 3 else data
        self._label = label.reshape(-1)

    def __len__(self) -> int:
        return len(self._data)

    def read(self, items: np.ndarray) -> tuple[Pixels, Pixels]:
        return self._data[items], self._label[items]

    def where(self, item: int) -> str:
        return f"item {item} of {self._path}"


def open_images(path: Path, *, color: bool | None) -> Images:
    """What a Data layer's source is, by what stands there.

    Raises:
        CheckFailed: nothing there, nothing in it, or nothing that can be read.
    """
    check(path.exists(), f"the data source {path} does not exist")
    if path.is_dir():
        return _open_folder(path, color=color)
    if path.suffix == ".npz":
        with _loaded(path) as file:
            for name in ("data", "label"):
                check(name in file.files, f"{path} has no array named {name}; it has {', '.join(file.files) or 'none'}")
            return Arrays(path, file["data"], file["label"])
    if path.suffix == ".npy":
        return _open_npy(path)
    raise CheckFailed(f"the data source {path} is neither an LMDB nor a folder of images nor a .npz or .npy file")


def _open_folder(path: Path, *, color: bool | None) -> Images:
    names = {entry.name for entry in path.iterdir()}
    check(names, f"the data folder {path} is empty")
    if "data.mdb" in names:
        return Lmdb(path, color=color)
    check(
        not ("CURRENT" in names and any(name.startswith("MANIFEST") for name in names)),
        f"{path} is a LevelDB, which is not read here; convert it to an LMDB",
    )
    if "data.npy" in names:
        return _open_npy(path / "data.npy")
    classes = sorted(entry for entry in path.iterdir() if entry.is_dir())
    files = [
        (file, label)
        for label, folder in enumerate(classes)
        for file in sorted(folder.rglob("*"))
        if file.suffix.lower() in SUFFIXES
    ]
    check(files, f"the data folder {path} has no images; it must have one folder of images for each class")
    return ImageFiles(files, color=color, size=None, shuffled=True)


def _open_npy(path: Path) -> Images:
    labels = path.with_name("label.npy")
    check(labels.exists(), f"{path} needs its labels beside it, in {labels.name}")
    return Arrays(path, _loaded(path), _loaded(labels))


def _loaded(path: Path) -> Any:
    try:
        return np.load(path, mmap_mode="r" if path.suffix == ".npy" else None, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise CheckFailed(f"{path} cannot be read as a numpy file: {error}") from error
    except Exception as error:  # a broken archive: zipfile.BadZipFile
        raise CheckFailed(f"{path} cannot be read as a numpy file: {error}") from error


def read_list(path: Path, root: str) -> list[tuple[Path, int]]:
    """Lines of "file label"; relative files stand under `root`, or else beside the list."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CheckFailed(f"the list of images {path} cannot be read: {error}") from error
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        name, _, label = line.strip().rpartition(" ")
        try:
            found.append((_placed(name.strip(), root, path.parent), int(label)))
        except ValueError:
            raise CheckFailed(f'line {number} of {path} is not "file label"') from None
    check(found, f"the list of images {path} is empty")
    return found


def _placed(name: str, root: str, beside: Path) -> Path:
    # Caffe joins the two as texts: a root without its slash would be part of the name.
    under = Path(root + name)
    return under if root or under.is_absolute() or under.exists() else beside / name
