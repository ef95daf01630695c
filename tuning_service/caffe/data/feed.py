"""The batches of one net, made ahead in a thread while the net computes."""

import queue
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tuning_service.caffe.checks import CheckFailed
from tuning_service.caffe.data.readers import Array, Reader

_AHEAD = 3


@dataclass(frozen=True, slots=True)
class LabelRange:
    """Labels count from 0 to before `classes`, or are `ignored`; `layer` is the one that would take them."""

    classes: int
    ignored: int | None
    layer: str


class Feed:
    """`next` gives the tops of all data layers by name. `number` is that of the batch which it gives next."""

    def __init__(
        self,
        readers: Sequence[tuple[tuple[str, ...], Reader]],
        labels: Mapping[str, LabelRange],
        device: torch.device,
    ) -> None:
        self._readers, self._labels, self._device = list(readers), labels, device
        self.number = 0
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._ready: queue.Queue[Any] = queue.Queue(_AHEAD)

    def next(self) -> dict[str, Tensor]:
        """The next batch, on the device.

        Raises:
            CheckFailed: it cannot be read, or a label is none that the net can learn.
        """
        if self._thread is None:
            self._start()
        made = self._ready.get()
        if isinstance(made, Exception):
            raise made
        self.number += 1
        if self._device.type == "cpu":
            return dict(made)
        return {name: top.to(self._device, non_blocking=True) for name, top in made.items()}

    def seek(self, number: int) -> None:
        """Go on with batch `number`."""
        self.close()
        self.number = number

    def close(self) -> None:
        """Stop reading ahead."""
        if self._thread is None:
            return
        self._stop.set()
        while self._thread.is_alive():
            # Room for the batch that the thread may be waiting to hand over.
            while not self._ready.empty():
                self._ready.get_nowait()
            self._thread.join(0.05)
        self._thread, self._ready = None, queue.Queue(_AHEAD)
        self._stop.clear()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, args=(self.number,), daemon=True, name="batches")
        self._thread.start()

    def _run(self, number: int) -> None:
        while not self._stop.is_set():
            made: Any
            try:
                made = self._batch(number)
            except Exception as error:  # noqa: BLE001  # whatever it is, it belongs to who waits for the batch
                made = error
            while not self._stop.is_set():
                try:
                    self._ready.put(made, timeout=0.1)
                    break
                except queue.Full:
                    continue
            if isinstance(made, Exception):
                return
            number += 1

    def _batch(self, number: int) -> dict[str, Tensor]:
        made: dict[str, Tensor] = {}
        for tops, reader in self._readers:
            for name, top in zip(tops, reader.batch(number), strict=True):
                if name in self._labels:
                    self._check(name, top, reader, number)
                tensor = torch.from_numpy(top)
                made[name] = tensor.pin_memory() if self._device.type == "cuda" else tensor
        return made

    def _check(self, name: str, top: Array, reader: Reader, number: int) -> None:
        known = self._labels[name]
        wrong = (top < 0) | (top >= known.classes) | (top != np.floor(top))
        if known.ignored is not None:
            wrong &= top != known.ignored
        if wrong.any():
            index = np.argwhere(wrong)[0]
            raise CheckFailed(
                f"{reader.where(number, int(index[0]))} has the label {top[tuple(index)]:g}; "
                f'layer "{known.layer}" has {known.classes} classes, so labels are 0 to {known.classes - 1}'
            )
