"""What tests run on executors in place of the runner. Sent to them as a file, so it imports only what is there."""

import json
import os
import sys
import time
from pathlib import Path


def run(ticket, attempt, gpus):
    """Does what the ticket's token says, a JSON object; leaves FOLDER/TASK.ATTEMPT.json while and after it runs."""
    import tuning_service

    order = json.loads(ticket.token)
    folder = Path(order["folder"])
    seen = {
        "attempt": attempt,
        "gpus": list(gpus),
        "pid": os.getpid(),
        "package": tuning_service.__file__,
        "python": sys.executable,
    }
    draft = folder / f"{ticket.task_id}.{attempt}.draft"
    draft.write_text(json.dumps(seen))
    draft.rename(folder / f"{ticket.task_id}.{attempt}.json")
    if order.get("raise"):
        raise RuntimeError(order["raise"])
    if order.get("exit") and not attempt:
        os._exit(order["exit"])
    deadline = time.monotonic() + 60
    while order.get("wait") and not ((folder / "go").exists() or (folder / f"{ticket.task_id}.go").exists()):
        if time.monotonic() > deadline:
            raise TimeoutError(ticket.task_id)
        time.sleep(0.02)


def nothing(ticket, attempt, gpus):
    """The empty task."""
