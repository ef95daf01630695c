"""A plug-in's folder, zip or tar as one canonical archive: the same files have the same digest, however packed."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tuning_service.domain.errors import FieldProblem, InvalidRequest
from tuning_service.runner import bundle
from tuning_service.runner.archive import entries
from tuning_service.search.plugins import manifest as manifests
from tuning_service.search.plugins.manifest import Manifest

# Macs put a folder of this name, with notes of their own, beside what they zip.
_APPLES = "__MACOSX"
LIMITS = bundle.BundleLimits(total_bytes=20 * 2**20, files=1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A plug-in that can be stored: `data` is a tar.gz, `digest` its SHA-256."""

    data: bytes
    digest: str
    manifest: Manifest


def read(source: bytes | Path, *, name: str = "", version: str = "") -> Packed:
    """The plug-in in a folder, in an archive file, or in its bytes. `name` and `version` as in `manifest.read`.

    A single folder at the top level, as zip programs like to make, counts as the plug-in's own.

    Raises:
        InvalidRequest: the archive or the manifest cannot be accepted.
        OSError: the path cannot be read.
    """
    try:
        data = bundle.pack(source) if isinstance(source, Path) and source.is_dir() else _bytes(source)
        return _canonical(data, name, version)
    except bundle.BadBundle as error:
        raise InvalidRequest(
            FieldProblem(
                field="file", message=f"{error}.", remedy="Pack a folder of plain files as zip, tar or tar.gz."
            )
        ) from error


def _bytes(source: bytes | Path) -> bytes:
    return source if isinstance(source, bytes) else source.read_bytes()


def _canonical(data: bytes, name: str, version: str) -> Packed:
    for entry in entries(data, LIMITS):
        if entry.kind in {"symlink", "hardlink"}:
            raise bundle.BadBundle(f"{entry.name} is a link: copy the file there instead")
    with tempfile.TemporaryDirectory(prefix="tuning-plugin-") as folder:
        root = Path(folder) / "plugin"
        bundle.unpack(data, root, LIMITS)
        shutil.rmtree(root / _APPLES, ignore_errors=True)
        inner = list(root.iterdir())
        if not inner:
            raise bundle.BadBundle("the archive holds no files")
        if len(inner) == 1 and inner[0].is_dir():
            root = inner[0]
        packed = bundle.pack(root)
        return Packed(
            data=packed, digest=bundle.digest(packed), manifest=manifests.read(root, name=name, version=version)
        )
