"""All that an author can have checked before an upload, one after the other, each as soon as it is known."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from tuning_service.domain.errors import GiveUp, InvalidRequest
from tuning_service.runner import bundle
from tuning_service.search.base import algorithms
from tuning_service.search.host import AlgorithmFailed
from tuning_service.search.plugins import archive
from tuning_service.search.plugins.cache import prepared
from tuning_service.search.plugins.check import CheckResult, conformance, try_out
from tuning_service.search.plugins.limits import PluginLimits

_INSTALL_S = 600.0


def check_all(source: Path, limits: PluginLimits, *, name: str = "") -> Iterator[CheckResult]:
    """The results; what depends on something that failed is left out. `name` is for the older interface."""
    try:
        packed = archive.read(source, name=name)
    except InvalidRequest as error:
        yield CheckResult(name="plugin.toml", ok=False, detail="\n".join(map(str, error.problems)))
        return
    manifest = packed.manifest
    if manifest.name in algorithms():
        taken = f"plugin.toml.name: {manifest.name!r} is the name of a built-in algorithm. Choose another one."
        yield CheckResult(name="plugin.toml", ok=False, detail=taken)
        return
    yield CheckResult(name=f"plugin.toml: {manifest.name} {manifest.version}", ok=True)
    with tempfile.TemporaryDirectory(prefix="tuning-plugin-check-") as work:
        folder = Path(work) / "plugin"
        # What is checked is what would be uploaded, without what is left out of that.
        bundle.unpack(packed.data, folder, archive.LIMITS)
        try:
            plugin = prepared(folder, manifest, Path(work) / "environments", install_s=_INSTALL_S)
        except GiveUp as error:
            yield CheckResult(name="requirements", ok=False, detail=error.message)
            return
        if manifest.requirements:
            yield CheckResult(name=f"requirements: {', '.join(manifest.requirements)}", ok=True)
        try:
            try_out(plugin, limits)
        except AlgorithmFailed as error:
            detail = "\n".join(filter(None, [error.message, error.explanation]))
            yield CheckResult(name="loads and suggests", ok=False, detail=detail)
            return
        yield CheckResult(name="loads and suggests", ok=True)
        if manifest.interface == "hpt":
            yield from conformance(plugin, limits)
