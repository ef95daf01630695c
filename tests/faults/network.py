"""A network namespace in which Spark's workers live, whose links to everything else can be cut."""

import contextlib
import os
import shutil
import subprocess
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Self

_NAMES = Path("/run/netns")
_PREFIX = "faults-"
_NETS = 2**14  # of four addresses each, for either link
_FIRST = int(IPv4Address("198.18.0.0"))


class Namespace:
    """Context manager; takes root, `ip` and `nsenter`. Made of two links, so that one can be cut without the other.

    Over the one workers and executors talk to Spark's master and drivers, over the other trainings' runners talk to
    the managers. Addresses are of 198.18.0.0/15, which is set aside for tests.
    """

    def __init__(self) -> None:
        self.name = f"{_PREFIX}{os.getpid()}"
        number = os.getpid() % _NETS
        self.spark = _Link(self.name, f"fs{os.getpid()}", IPv4Network((_FIRST + 4 * number, 30)))
        self.service = _Link(self.name, f"fm{os.getpid()}", IPv4Network((_FIRST + 4 * (_NETS + number), 30)))

    @property
    def command(self) -> tuple[str, ...]:
        """What a command begins with that is to run inside; the same process becomes the command."""
        return ("nsenter", f"--net={_NAMES / self.name}", "--")

    def __enter__(self) -> Self:
        _tidy()
        _ip("netns", "add", self.name)
        try:
            _ip("-n", self.name, "link", "set", "lo", "up")
            for link in (self.spark, self.service):
                link.make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for link in (self.spark, self.service):
            link.remove()
        with contextlib.suppress(subprocess.CalledProcessError):
            _ip("netns", "del", self.name)

    def cut(self, how: str) -> None:
        """As `Forwarder.cut`, on the way to the managers; "spark": on the way to Spark's master and drivers."""
        self.spark.cut("silent" if how == "spark" else "")
        self.service.cut("" if how == "spark" else how)


class _Link:
    """A pair of interfaces: the net's first address is this machine's, the second one the namespace's."""

    def __init__(self, namespace: str, name: str, net: IPv4Network) -> None:
        self._namespace, self._here, self._there = namespace, f"{name}a", f"{name}b"
        self._net = str(net)
        self.host, self.inside = map(str, net.hosts())
        self._cut = ""

    def make(self) -> None:
        _ip("link", "add", self._here, "type", "veth", "peer", "name", self._there, "netns", self._namespace)
        _ip("addr", "add", f"{self.host}/30", "dev", self._here)
        _ip("-n", self._namespace, "addr", "add", f"{self.inside}/30", "dev", self._there)
        _ip("link", "set", self._here, "up")
        _ip("-n", self._namespace, "link", "set", self._there, "up")
        # While the link is down nothing of it shall go to the machine's own network.
        _ip("route", "add", "blackhole", self._net, "metric", "9999")

    def remove(self) -> None:
        for words in (("route", "del", "blackhole", self._net, "metric", "9999"), ("link", "del", self._here)):
            with contextlib.suppress(subprocess.CalledProcessError):
                _ip(*words)
        self._quietly_mend()

    def cut(self, how: str) -> None:
        if how == self._cut:
            return
        was, self._cut = self._cut, how
        if was:
            self._mend(was)
        if how == "silent":
            _ip("link", "set", self._here, "down")
        elif how == "deaf":
            _ip("route", "add", "blackhole", f"{self.inside}/32")
        elif how == "refuse":
            _ip("-n", self._namespace, "route", "add", "unreachable", f"{self.host}/32")

    def _mend(self, was: str) -> None:
        if was == "silent":
            _ip("link", "set", self._here, "up")
        elif was == "deaf":
            _ip("route", "del", "blackhole", f"{self.inside}/32")
        elif was == "refuse":
            _ip("-n", self._namespace, "route", "del", "unreachable", f"{self.host}/32")

    def _quietly_mend(self) -> None:
        was, self._cut = self._cut, ""
        if was == "deaf":
            with contextlib.suppress(subprocess.CalledProcessError):
                self._mend(was)


def namespaces_work() -> bool:
    """Whether this machine, and who we are on it, let us make one."""
    if os.geteuid() != 0 or not (shutil.which("ip") and shutil.which("nsenter")):
        return False
    try:
        with Namespace() as made:
            subprocess.run([*made.command, "true"], check=True, capture_output=True)
    except (subprocess.CalledProcessError, OSError):
        return False
    return True


def _tidy() -> None:
    """Remove what runs left behind that were killed; their links go with their namespaces."""
    for path in _NAMES.glob(f"{_PREFIX}*"):
        pid = path.name.removeprefix(_PREFIX)
        if not Path(f"/proc/{pid}").exists():
            with contextlib.suppress(subprocess.CalledProcessError):
                _ip("netns", "del", path.name)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
