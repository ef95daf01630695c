"""What nvidia-smi says of GPUs, without ever waiting for it."""

import contextlib
import shutil
import subprocess
import time
from collections.abc import Sequence

_PATIENCE_S = 10.0
_REST_S = 600.0  # after it hung: a driver in trouble is not asked again and again
_MIB = 2**20
_hung_at = -_REST_S

Figures = tuple[tuple[int | None, float | None], ...]  # (bytes in use, utilisation from 0 to 1) of each GPU


class GpuQuery:
    """Asks about the GPUs at `addresses` (indices or UUIDs), one question at a time."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = tuple(addresses)
        self._command = shutil.which("nvidia-smi") if addresses else None
        self._asked_at = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pending(self) -> bool:
        """True while an answer is waited for."""
        return self._process is not None

    def ask(self) -> None:
        """Begin to ask, unless nothing here can answer. Raises OSError when no process can be started."""
        if self._command is None or time.monotonic() - _hung_at < _REST_S:
            return
        self._asked_at = time.monotonic()
        self._process = subprocess.Popen(
            [
                self._command,
                "--query-gpu=index,uuid,memory.used,utilization.gpu",
                "--format=csv,noheader,nounits",
                f"--id={','.join(self._addresses)}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def answer(self) -> Figures:
        """What it said, for each address; () while it is `pending`, and when it said nothing of use."""
        process = self._process
        if process is None:
            return ()
        if process.poll() is None:
            if time.monotonic() - self._asked_at > _PATIENCE_S:
                self._hangs()
            return ()
        self._process = None
        assert process.stdout is not None
        with process.stdout as stream:
            text = stream.read(65536).decode("ascii", "replace")
        if process.returncode != 0:
            self._command = None  # it does not know these GPUs: nor will it later
            return ()
        return parsed(text, self._addresses)

    def _hangs(self) -> None:
        global _hung_at  # noqa: PLW0603 - what hangs, hangs for all trainings of this process
        _hung_at = time.monotonic()
        self.close()

    def close(self) -> None:
        """Give up a question that is open."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        assert process.stdout is not None
        process.stdout.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.2)  # not for longer: what hangs in a driver does not even die


def parsed(text: str, addresses: Sequence[str]) -> Figures:
    """The figures in nvidia-smi's lines of `index, uuid, MiB in use, utilisation in percent`."""
    known: dict[str, tuple[int | None, float | None]] = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) == 4:
            memory, used = _number(cells[2]), _number(cells[3])
            figures = None if memory is None else int(memory * _MIB), None if used is None else used / 100
            known[cells[0]] = known[cells[1]] = figures
    if not known:
        return ()
    return tuple(known.get(address, (None, None)) for address in addresses)


def _number(text: str) -> float | None:
    """None for what this GPU does not tell: "[N/A]"."""
    return float(text) if text.isdecimal() else None
