"""What goes to the executors: the runner's code as a zip, and the function that a Spark task executes."""

import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import tuning_service
from tuning_service.runner.protocol import TaskTicket

RUNNER = "tuning_service.runner.run:run_ticket"
# The last is nothing of the runner's: trainings get it where the executor has no Caffe.
_SHIPPED = ("domain", "logs", "probe", "runner", "caffe")


class TaskEnd(NamedTuple):
    """A Spark task has ended; `error` is the traceback of what its runner raised, which it should not."""

    task_id: str
    error: str


def write_runner_zip(folder: Path) -> Path:
    """The path of a new zip in `folder` with the floors that run on executors; same code, same bytes."""
    package = Path(tuning_service.__file__).parent
    files = [package / "__init__.py"]
    for floor in _SHIPPED:
        files += (f for f in (package / floor).rglob("*") if f.is_file() and "__pycache__" not in f.parts)
    path = folder / "tuning_service_runner.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(files):
            name = file.relative_to(package.parent).as_posix()
            archive.writestr(zipfile.ZipInfo(name), file.read_bytes(), zipfile.ZIP_DEFLATED)
    return path


def task_function(
    tickets: Sequence[TaskTicket], runner: str, report_end: Callable[[tuple[tuple[str, str]]], None]
) -> Callable[[int, Iterable[Any]], Iterable[Any]]:
    """The function for Spark to call with a partition's number: it gives `tickets[number]` to `runner`.

    `runner` is "module:function" on the executor, and `report_end` a Spark accumulator's `add`. The function is a
    closure, so it travels by value: executors have the runner, not this module. It raises nothing, for an error
    would make Spark try again, and finally end the other tasks of the same Spark job.
    """
    plain = [asdict(ticket) for ticket in tickets]
    module, _, name = runner.partition(":")

    def execute(number: int, partition: Iterable[Any]) -> Iterable[Any]:
        import gc
        import importlib
        import traceback

        from pyspark import TaskContext

        for _ in partition:  # empty, but Spark reuses a Python worker only when it was read to its end
            pass
        error = ""
        ticket = plain[number]
        try:
            from tuning_service.runner.protocol import TaskTicket

            context: Any = TaskContext.get()
            gpus = ticket["gpus"]
            if gpus is None:
                gpu = context.resources().get("gpu")
                gpus = tuple(gpu.addresses) if gpu else ()
            getattr(importlib.import_module(module), name)(TaskTicket(**ticket), context.attemptNumber(), gpus)
        except (Exception, SystemExit):  # noqa: BLE001  # see above
            error = traceback.format_exc()
        report_end(((ticket["task_id"], error),))
        if not gc.get_freeze_count():
            # Spark's worker collects garbage after each task, and walks all imported modules to do it: 20 ms.
            gc.freeze()
        return ()

    return execute
