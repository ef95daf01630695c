"""How often the kernel has killed processes because memory ran out, where that can be told."""

import re
from pathlib import Path

_KILLS = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)


def oom_kills(root: Path = Path("/")) -> int:
    """A count that grows: of this process's cgroup with those below it, else of the machine; 0 where nothing tells.

    Other trainings of the same executor share the cgroup, so a higher count says who was killed only together with a
    SIGKILL.
    """
    for path in (*_of_cgroup(root), root / "proc/vmstat"):
        try:
            found = _KILLS.search(path.read_text())
        except OSError:
            continue
        if found:
            return int(found[1])
    return 0


def _of_cgroup(root: Path) -> list[Path]:
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    paths = []
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, name = rest.partition(":")
        name = name.lstrip("/")
        if not controllers:  # version 2. In a container, what the name is relative to may be mounted as the root.
            paths += [root / "sys/fs/cgroup" / name / "memory.events", root / "sys/fs/cgroup/memory.events"]
        elif "memory" in controllers.split(","):
            folder = root / "sys/fs/cgroup/memory"
            paths += [folder / name / "memory.oom_control", folder / "memory.oom_control"]
    return paths
