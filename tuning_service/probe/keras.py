"""Exact values out of `model.fit`, whose progress lines are rounded."""

from __future__ import annotations

import importlib
from typing import Any

from tuning_service.probe.trial import report


def keras_callback() -> Any:
    """A callback for `model.fit` that reports loss and metrics of each epoch, counted from 1 as Keras prints them.

    Raises:
        ImportError: neither keras nor tensorflow is installed.
    """
    # Not by an import statement: it is the script that brings Keras along.
    try:
        callbacks = importlib.import_module("keras.callbacks")
    except ImportError:
        callbacks = importlib.import_module("tensorflow").keras.callbacks

    class Reports(callbacks.Callback):  # type: ignore[misc,name-defined]
        """Reports an epoch when the next one begins, or none will.

        The last value of a step counts, and the progress bar prints its rounded one after all callbacks have been told
        of the epoch's end.
        """

        def __init__(self) -> None:
            super().__init__()
            self._waiting: dict[str, float] = {}
            self._epoch = 0

        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            self._epoch, self._waiting = epoch + 1, dict(logs or {})

        def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            del epoch, logs
            self._report()

        def on_train_end(self, logs: dict[str, float] | None = None) -> None:
            del logs
            self._report()

        def _report(self) -> None:
            waiting, self._waiting = self._waiting, {}
            if waiting:
                report(self._epoch, **waiting)

    return Reports()
