"""Commands about one trial: the files that it left, what it used."""

from pathlib import Path
from typing import Annotated

import typer

from tuning_service.cli import output
from tuning_service.cli.options import AsJson, JobId, Key, Url, connect

trial = typer.Typer(no_args_is_help=True, help="One trial: the files that it left, and what it used.")

Number = Annotated[int, typer.Argument(metavar="TRIAL", min=0, help="Number of the trial.")]
Task = Annotated[int | None, typer.Option(min=0, help="Which execution of it; default: the newest.")]


@trial.command("artifacts", epilog="Example: tuning-service trial artifacts job_01… 3 --download best-model")
def artifacts(
    job_id: JobId,
    number: Number,
    download: Annotated[
        Path | None, typer.Option(metavar="DIR", file_okay=False, help="Write the files into this folder.")
    ] = None,
    task: Task = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """List the files that a trial left, or download them."""
    with connect(url, key) as client:
        found = client.artifacts(job_id, number, task=task)
        if download is not None:
            client.download_artifacts(job_id, number, download, task=task)
    if as_json:
        output.print_json(found)
        return
    rows = ((item["path"], size(item["bytes"]), output.when(item["created_at"])) for item in found)
    output.table(("path", "size", "stored"), rows, f"Trial {number} left no files.")
    if download is not None and found:
        output.hint(f"Written to {download}.")


@trial.command("resources", epilog="Example: tuning-service trial resources job_01… 3")
def resources(
    job_id: JobId, number: Number, task: Task = None, url: Url = None, key: Key = None, as_json: AsJson = False
) -> None:
    """Show what a trial used: CPU, memory and GPUs, at its peak and over time."""
    with connect(url, key) as client:
        found = client.resources(job_id, number, task=task)
    if as_json:
        output.print_json(found)
        return
    gpus = {
        f"gpu {name} memory": peak for name, peak in zip(found["gpus"], found["peak_gpu_memory_bytes"], strict=True)
    }
    output.fields(
        [
            ("peak memory", size(found["peak_memory_bytes"])),
            *((name, size(peak)) for name, peak in gpus.items()),
            ("cpu time", output.duration(found["cpu_s"])),
        ]
    )
    columns = zip(found["elapsed_s"], found["cpu"], found["memory_bytes"], found["threads"], strict=True)
    rows = ((output.duration(at), cpu, size(memory), threads) for at, cpu, memory, threads in columns)
    output.table(("after", "cores", "memory", "threads"), rows, "There are no samples (yet).")


def size(count: int | None) -> str:
    """Bytes as people say them."""
    if count is None:
        return "-"
    amount, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.1f} {unit}" if unit != "B" else f"{count} B"
