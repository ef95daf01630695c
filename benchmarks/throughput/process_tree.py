"""CPU time of a process with all its descendants, dead ones included, read from /proc (Linux)."""

import ctypes
import os
import signal
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, slots=True, kw_only=True)
class Stat:
    """One process as /proc shows it."""

    pid: int
    parent: int
    state: str  # "Z": dead, and its parent has not asked for its status yet
    own_cpu_s: float
    cpu_s: float  # its own, and that of children it has waited for


def adopt_orphans() -> None:
    """From now on descendants whose parent dies become children of this process, so none escapes the count."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")


def exit_on_sigterm() -> None:
    """SIGTERM ends this process through its `finally` blocks, which end what was started."""
    signal.signal(signal.SIGTERM, _exit)


def _exit(signum: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + signum)


def tree_cpu_s(root: int) -> float:
    """Seconds of CPU that `root` and its descendants have used so far, over all their lives."""
    return sum(stat.cpu_s for stat in family(root).values())


def family(root: int) -> dict[int, Stat]:
    """`root` and its descendants, by process id."""
    stats = _stats()
    return {pid: stats[pid] for pid in [root, *_descendants(root, stats)]}


def command_of(pid: int) -> str:
    """The command line of a process; empty where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def machine_busy_s() -> float:
    """Seconds of CPU that the whole machine has used since it started, over all cores; idle and waiting left out."""
    user, nice, system, _idle, _iowait, irq, softirq, *_ = map(
        int, Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:]
    )
    return (user + nice + system + irq + softirq) / _TICKS_PER_S


def end_descendants(grace_s: float) -> int:
    """Every descendant of this process has ended; how many had to be killed after `grace_s` of waiting for it."""
    deadline = time.monotonic() + grace_s
    while (alive := _living_descendants()) and time.monotonic() < deadline:
        time.sleep(0.05)
    killed = set[int]()
    while alive:
        for pid in alive:
            killed.add(pid)
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.05)
        alive = _living_descendants()
    return len(killed)


def _living_descendants() -> list[int]:
    _reap()
    stats = _stats()
    return [pid for pid in _descendants(os.getpid(), stats) if stats[pid].state != "Z"]


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _descendants(root: int, stats: dict[int, Stat]) -> list[int]:
    children = defaultdict[int, list[int]](list)
    for stat in stats.values():
        children[stat.parent].append(stat.pid)
    found = list(children[root])
    for pid in found:  # grows while it is walked
        found += children[pid]
    return found


def _stats() -> dict[int, Stat]:
    stats = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            text = (folder / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # it ended meanwhile
        # The name in brackets may itself hold spaces and brackets.
        fields = text[text.rindex(")") + 2 :].split()
        pid = int(folder.name)
        own, children = sum(map(int, fields[11:13])), sum(map(int, fields[13:15]))
        stats[pid] = Stat(
            pid=pid,
            parent=int(fields[1]),
            state=fields[0],
            own_cpu_s=own / _TICKS_PER_S,
            cpu_s=(own + children) / _TICKS_PER_S,
        )
    return stats
