"""What a tree of processes uses, as Linux tells it in /proc."""

import os
from dataclasses import dataclass

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_FORGET = 12  # looks after which numbers of other processes are looked at anew


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeUse:
    """Of all living descendants. `cpu_s` has what those that ended have used, too.

    In `memory_bytes`, what processes have in common with others (libraries, shared memory) counts once, as far as that
    can be told: pages that a fork has not copied yet count in both.
    """

    cpu_s: float
    memory_bytes: int
    threads: int


class ProcessTree:
    """The descendants of the process `root`, which itself does not count. Raises OSError where there is no /proc."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._foreign: set[str] = set()  # processes that are none of these: not looked at each time
        self._looks = 0
        # What children of the root used that ended before this.
        self._before = _ticks(_stat(str(root)), waited_only=True)

    def look(self) -> TreeUse:
        """How it stands now: 0.2 ms on a machine with 200 processes, and 4 ms each twelfth time."""
        if self._looks % _FORGET == 0:
            self._foreign.clear()  # a number may have gone to one of ours meanwhile
        self._looks += 1
        stats: dict[str, list[bytes]] = {}
        children: dict[str, list[str]] = {}
        for name in os.listdir("/proc"):  # noqa: PTH208 - pathlib would take twice the time
            if not name.isdigit() or name in self._foreign:
                continue
            try:
                stats[name] = _stat(name)
            except OSError:
                continue
            children.setdefault(stats[name][1].decode(), []).append(name)
        found: list[str] = []
        rest = [str(self._root)]
        while rest:
            fresh = children.get(rest.pop(), [])
            found += fresh
            rest += fresh
        self._foreign.update(stats.keys() - set(found) - {str(self._root)})
        return self._use([stats[name] for name in found], found)

    def _use(self, stats: list[list[bytes]], names: list[str]) -> TreeUse:
        ticks = _ticks(_stat(str(self._root)), waited_only=True) - self._before + sum(map(_ticks, stats))
        own, common = 0, 0
        for name in names:
            resident, shared = _pages(name)
            own += resident - shared
            common = max(common, shared)
        threads = sum(int(stat[17]) for stat in stats)
        return TreeUse(cpu_s=ticks * _TICK_S, memory_bytes=(own + common) * _PAGE, threads=threads)


def _stat(name: str) -> list[bytes]:
    """Fields from the state on, which is the third."""
    with open(f"/proc/{name}/stat", "rb", buffering=0) as stream:  # noqa: PTH123
        # The command's name stands in brackets and may itself hold anything, brackets too.
        return stream.read(4096).rpartition(b")")[2].split()


def _ticks(stat: list[bytes], *, waited_only: bool = False) -> int:
    """CPU time of a process, with that of children that it has waited for."""
    return sum(map(int, stat[13:15] if waited_only else stat[11:15]))


def _pages(name: str) -> tuple[int, int]:
    """Resident pages of a process, and those of them that are of files or shared."""
    try:
        with open(f"/proc/{name}/statm", "rb", buffering=0) as stream:  # noqa: PTH123
            fields = stream.read(256).split()
    except OSError:
        return 0, 0
    return int(fields[1]), int(fields[2])
