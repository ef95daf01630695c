"""Programs that the runner itself needs, such as pip: run to their end, while heartbeats go on and stops are obeyed."""

import math
import os
import select
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tuning_service.runner import training as supervisors
from tuning_service.runner.training import Training

_LOOK_S = 0.2  # between two heartbeats that are due
_TAIL_BYTES = 32 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolEnd:
    """How a tool ended. `code` is None when its supervisor was killed, and nothing of it is left in any case."""

    code: int | None
    timed_out: bool
    output: str  # the end of stdout and stderr


def run_tool(
    argv: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    beat: Callable[[], None],
    *,
    time_limit_s: float | None = None,
    remove: Path | None = None,
) -> ToolEnd:
    """The end of `argv`, run in `folder`. `beat` is called several times a second; what it raises ends the tool first.

    Run under a supervisor, so that it does not outlive this process; then `remove` is deleted too.

    Raises:
        CouldNotStart: there is no such program, or it cannot be executed.
        EOFError, OSError: no process could be started at all.
    """
    supervisor = supervisors.borrow()
    reusable = False
    try:
        training = supervisor.start(
            argv, environment, str(folder), time_limit_s=time_limit_s, remove=str(remove) if remove else ""
        )
        try:
            end = _follow(training, beat)
            reusable = end.code is not None
        except BaseException:
            training.kill()
            reusable = training.read_exit().code is not None
            raise
        finally:
            training.close()
    except supervisors.CouldNotStart:
        reusable = True
        raise
    finally:
        supervisors.give_back(supervisor) if reusable else supervisor.close()
    return end


def _follow(training: Training, beat: Callable[[], None]) -> ToolEnd:
    poller = select.poll()
    output, control = training.output, training.control.fileno()
    poller.register(output, select.POLLIN)
    poller.register(control, select.POLLIN)
    tail = b""
    while True:
        ready = {descriptor for descriptor, _ in poller.poll(math.ceil(_LOOK_S * 1000))}
        if output in ready:
            data = os.read(output, 65536)
            tail = (tail + data)[-_TAIL_BYTES:]
            if not data:
                poller.unregister(output)
        elif control in ready:
            end = training.read_exit()
            return ToolEnd(code=end.code, timed_out=end.timed_out, output=tail.decode(errors="replace"))
        beat()
