"""From nothing to the best configuration: starts the service here, tunes the digits example, shows the result.

Everything goes through the command line and the public client, so parts of it can be copied into programs of one's own.
"""

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

try:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Table

    from tuning_service.client import TuningApiError, TuningClient
except ImportError as error:
    sys.exit(f"{error}. `make demo` installs what the demo needs and runs it.")

ROOT = Path(__file__).resolve().parents[1]
JOB_FILE = ROOT / "examples" / "digits_pytorch" / "job.yaml"
START_LIMIT_S = 180.0  # Spark's first start from a slow disk takes long
STOP_LIMIT_S = 20.0
INTERRUPTED = 130  # what shells expect after Ctrl-C

console = Console(highlight=False, soft_wrap=True)
JsonDict = dict[str, Any]


class DemoFailed(Exception):
    """The demo cannot go on; the text says why."""


class Service:
    """A service of the demo's own, in one process on SQLite and local Spark. Its data and log are in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.data_dir = folder / "data"
        self.log = folder / "service.log"
        self._ready_file = folder / "ready.json"
        command = [sys.executable, "-m", "tuning_service", "serve", "--port", "0"]
        command += ["--data-dir", str(self.data_dir), "--ready-file", str(self._ready_file)]
        with self.log.open("wb") as log:
            # In a session of its own: Ctrl-C then reaches the demo alone, which ends the service in good order.
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                # Without the repository's example plug-ins, which would be installed meanwhile.
                env=os.environ | {"TUNING_SERVICE_PLUGINS_DIR": str(folder / "plugins")},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.pid = self._process.pid

    def wait_until_ready(self) -> tuple[str, str]:
        """Its URL and the operator's key."""
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise DemoFailed(f"The service ended while starting (exit code {self._process.returncode}).")
            try:
                ready = json.loads(self._ready_file.read_text(encoding="utf-8"))
            except (FileNotFoundError, json.JSONDecodeError):
                time.sleep(0.1)  # not there, or not written to its end
            else:
                return ready["url"], ready["operator_key"]
        raise DemoFailed(f"The service was not ready after {START_LIMIT_S:.0f} seconds.")

    def stop(self) -> None:
        """End it, by force after `STOP_LIMIT_S`. From here on Ctrl-C is ignored: nothing shall be left behind."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._process.terminate()
        try:
            self._process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)  # with the Spark driver's Java process
            self._process.wait()

    def log_tail(self, lines: int = 20) -> str:
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def progress_text(progress: JsonDict) -> str:
    done, total = progress["done"], progress["total"]
    parts = [f"{done}/{total} trials", f"{progress['running']} running", f"{progress['failed']} failed"]
    if progress["best_value"] is not None:
        parts.append(f"best {progress['best_value']:.4f} (trial {progress['best_trial']})")
    if progress["seconds_left"] is not None:
        parts.append(f"{progress['seconds_left']:.0f} s left")
    return " · ".join(parts)


def watch(client: TuningClient, job_id: str) -> JsonDict:
    """The ended job. Until then shows one live line on a terminal, and plain lines elsewhere."""
    columns = (BarColumn(bar_width=12), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("waiting for the first trials", total=None)

        def show(job: JsonDict) -> None:
            progress = job["progress"]
            text = progress_text(progress)
            bar.update(task, total=progress["total"], completed=progress["done"], description=text)
            if not console.is_terminal:
                console.print(text)

        return client.wait(job_id, on_change=show)


def show_result(client: TuningClient, job: JsonDict) -> None:
    if job["status"] != "completed":
        failed = client.trials(job["id"], status="failed", limit=1)
        example = f" Trial {failed[0]['number']}, for instance: {failed[0]['reason']}" if failed else ""
        raise DemoFailed(f"The job ended as {job['status']}: {job['reason']}{example}")
    best = client.best(job["id"])["by_observation"]
    if best is None:
        raise DemoFailed("No trial completed.")
    console.print(f"\n[bold]Best configuration[/bold] (trial {best['number']}, val_accuracy {best['value']:.4f})")
    for name, value in best["params"].items():
        console.print(f"  {name:<13}{format_value(value)}")
    trials = client.trials(job["id"], sort="best", limit=5, status="completed")
    names = list(dict.fromkeys(name for trial in trials for name in trial["params"]))
    table = Table("trial", "value", *names, box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for trial in trials:
        # A parameter is absent where its condition does not hold.
        values = (format_value(trial["params"][name]) if name in trial["params"] else "-" for name in names)
        table.add_row(str(trial["number"]), f"{trial['value']:.4f}", *values)
    console.print("\n[bold]The five best[/bold]")
    console.print(table, soft_wrap=False)


def format_value(value: bool | float | str) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def show_next_steps(service: Service, job_id: str, url: str, key: str, *, keep: bool) -> None:
    script = Path(sys.executable).with_name("tuning-service")  # beside the interpreter of a virtual environment
    if script.is_relative_to(Path.cwd()):
        script = script.relative_to(Path.cwd())
    command = shlex.quote(str(script))
    if keep:
        console.print(f"\nThe service goes on at {url} until you run: kill {service.pid}")
        console.print("Open that address in a browser and sign in with the API key below, or look further with:")
    else:
        url = "http://127.0.0.1:8000"
        serve = f"{command} serve --port 8000 --data-dir {shlex.quote(str(service.data_dir))}"
        console.print(
            f"\nTo look further, start the service on the same data again:\n  {serve}\nand in another terminal:"
        )
    console.print(f"  export TUNING_URL={url} TUNING_API_KEY={key}")
    for arguments in (f"trials {job_id}", f"best {job_id}", f"logs {job_id}", "--help"):
        console.print(f"  {command} {arguments}")
    console.print(f"All of it is in {service.data_dir.parent}; delete that folder when you are done.")


def tune(service: Service, *, keep: bool) -> None:
    started = time.monotonic()
    console.print("Starting the service (SQLite, Spark on this machine) ...")
    url, operator_key = service.wait_until_ready()
    with TuningClient(url, operator_key) as operator:
        operator.create_tenant("demo", max_parallel=8)
        key = operator.create_key(name="demo", role="member", tenant="demo")["secret"]
    console.print(
        f"It serves {url} after {time.monotonic() - started:.0f} s. Submitting {JOB_FILE.relative_to(ROOT)} ..."
    )
    with TuningClient(url, key) as client:
        job = watch(client, client.submit(JOB_FILE)["id"])
        if console.is_terminal:  # the live line is gone by now
            console.print(progress_text(job["progress"]))
        show_result(client, job)
    show_next_steps(service, job["id"], url, key, keep=keep)
    console.print(f"Total time: {time.monotonic() - started:.0f} s")


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the service running")
    keep = parser.parse_args().keep
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # kill: as Ctrl-C
    service = Service(Path(tempfile.mkdtemp(prefix="tuning-demo-")))
    succeeded = False
    try:
        tune(service, keep=keep)
        succeeded = True
    except KeyboardInterrupt:
        console.print("\nInterrupted; stopping the service.")
        return INTERRUPTED
    except (DemoFailed, TuningApiError, OSError) as error:
        console.print(f"\n[bold red]The demo failed.[/bold red] {error}", f"\nThe end of {service.log}:\n", sep="")
        console.print(service.log_tail(), markup=False)
        return 1
    finally:
        if not (keep and succeeded):
            service.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
