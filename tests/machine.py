"""Processes and ports of this machine, as tests look at them."""

import socket
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path


def free_port() -> int:
    """A port that nobody listens on, for what is to come back at the same address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_running(pid: int) -> bool:
    """True while the process exists and is no zombie, which only waits for its parent to take note."""
    try:
        return _stat(pid)[0] != "Z"
    except OSError:
        return False


def parent_of(pid: int) -> int:
    """0 where there is no such process."""
    try:
        return int(_stat(pid)[1])
    except OSError:
        return 0


def command_of(pid: int) -> bytes:
    """Its arguments, with a zero byte behind each; empty where there is no such process."""
    return _read(pid, "cmdline")


def environment_of(pid: int) -> bytes:
    """As NAME=VALUE with a zero byte behind each; empty where there is no such process, or it is somebody else's."""
    return _read(pid, "environ")


def children_of(pid: int) -> list[int]:
    """Zombies too."""
    return [child for child in pids() if parent_of(child) == pid]


def descendants(pid: int) -> list[int]:
    """All processes below `pid`, children first; zombies too."""
    children = defaultdict[int, list[int]](list)
    for child in pids():
        children[parent_of(child)].append(child)
    found = list(children[pid])
    for child in found:  # grows while it is walked
        found += children[child]
    return found


def with_mark(mark: str) -> list[int]:
    """Processes that have `mark` in their environment; zombies have none any more."""
    return [pid for pid in pids() if mark.encode() in environment_of(pid)]


def pids() -> Iterator[int]:
    """Of all processes."""
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())


def _stat(pid: int) -> list[str]:
    """The state, the parent, and so on: what follows the name, which may hold spaces and brackets."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _read(pid: int, what: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{what}").read_bytes()
    except OSError:
        return b""
