"""Plug-ins on this machine: unpacked once for each digest, each with the interpreter that runs it."""

import contextlib
import os
import shutil
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuning_service.domain.errors import GiveUp
from tuning_service.runner import bundle
from tuning_service.search.plugins import archive
from tuning_service.search.plugins.environment import forget, python_of
from tuning_service.search.plugins.manifest import Manifest

# What no stored plug-in needs stays for so long after its last use, so that nobody who takes it up now loses it.
_KEPT_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedPlugin:
    """A plug-in that can be started here. `own_environment`: `python` has packages that the service's has not."""

    manifest: Manifest
    folder: Path
    python: str
    own_environment: bool = False


def prepared(
    folder: Path,
    manifest: Manifest,
    environments: Path,
    *,
    install_s: float,
    closing: threading.Event | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> PreparedPlugin:
    """The plug-in whose files lie in `folder`, with its environment. Raises as `environment.python_of`."""
    if not manifest.requirements:
        return PreparedPlugin(manifest=manifest, folder=folder, python=sys.executable)
    python = python_of(manifest.requirements, environments, timeout_s=install_s, closing=closing, tell=tell)
    return PreparedPlugin(manifest=manifest, folder=folder, python=str(python), own_environment=True)


class PluginCache:
    """A folder of this machine. Safe from any thread, and shared by any number of processes."""

    def __init__(self, folder: Path, *, install_s: float = 600.0) -> None:
        """`install_s` bounds the making of one environment."""
        self._folder = folder
        self._install_s = install_s
        self._closing = threading.Event()

    def prepare(
        self,
        manifest: Manifest,
        digest: str,
        fetch: Callable[[], bytes],
        tell: Callable[[str], None] = lambda _: None,
    ) -> PreparedPlugin:
        """The plug-in of that digest; `fetch` gives its archive when it is not here.

        Raises:
            GiveUp: its requirements do not resolve, or what `fetch` gave is not it.
            TryAgain: the cache was closed.
            and what `fetch` raises.
        """
        folder = self._unpacked(digest, fetch)
        return prepared(
            folder,
            manifest,
            self._folder / "environments",
            install_s=self._install_s,
            closing=self._closing,
            tell=tell,
        )

    def tidy(self, stored: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """Remove what none of the `stored` plug-ins, each a digest and a manifest, needs, after a day without use."""
        plugins = [(digest, Manifest.from_json(manifest)) for digest, manifest in stored]
        before = time.time() - _KEPT_S
        digests = {digest for digest, _ in plugins}
        for path in _inside(self._folder / "unpacked"):
            if path.name not in digests and _used(path) < before:
                shutil.rmtree(path, ignore_errors=True)
        forget(self._folder / "environments", keep=[m.requirements for _, m in plugins], before=before)

    def close(self) -> None:
        """Installations under way end soon, with TryAgain."""
        self._closing.set()

    def _unpacked(self, digest: str, fetch: Callable[[], bytes]) -> Path:
        home = self._folder / "unpacked" / digest
        if home.is_dir():
            with contextlib.suppress(OSError):
                os.utime(home)
            return home
        data = fetch()
        if bundle.digest(data) != digest:
            raise GiveUp("What is stored of it is damaged; upload it again.")
        part = home.with_name(f"{digest}.{uuid.uuid4().hex}.part")
        part.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        bundle.unpack(data, part, archive.LIMITS)
        _protect(part)
        # Somebody else may have been faster: theirs is the same.
        with contextlib.suppress(OSError):
            part.rename(home)
        if part.exists():
            shutil.rmtree(part, ignore_errors=True)
        return home


def _inside(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _used(path: Path) -> float:
    """When it was; now, when somebody else has just removed it."""
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_mtime
    return time.time()


def _protect(folder: Path) -> None:
    """What all jobs of a plug-in run from is not written to by one of them by mistake."""
    for root, _, files in os.walk(folder):
        for name in files:
            (Path(root) / name).chmod(0o444)
