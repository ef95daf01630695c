"""Scripts and styles. Their addresses hold their content's hash, so that browsers keep them for ever."""

import functools
import gzip
import hashlib
import importlib.resources
import mimetypes
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

PREFIX = "/static"
_HERE = Path(__file__).parent / "static"
# Comes with the package that pip installs: nothing is fetched from elsewhere.
_FOREIGN = {"plotly.min.js": Path(str(importlib.resources.files("plotly"))) / "package_data" / "plotly.min.js"}
_LONG = "public, max-age=31536000, immutable"
_WORTH_PACKING = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    data: bytes
    packed: bytes  # gzip; b"" when it gains nothing
    media_type: str


def address_of(name: str) -> str:
    """Where `name` of static/ is served.

    All of our own files share one hash: a module imports its neighbours by their names alone.
    """
    return f"{PREFIX}/{_release() if name not in _FOREIGN else _release_of(name)}/{name}"


async def serve(request: Request) -> Response:
    """One file."""
    name = request.path_params["name"]
    file = await anyio.to_thread.run_sync(_file, name)
    # Another release of the service may run beside this one during an upgrade: its pages must not keep our files.
    is_ours = request.path_params["release"] == address_of(name).split("/")[2]
    headers = {
        "Cache-Control": _LONG if is_ours else "no-cache",
        "X-Content-Type-Options": "nosniff",
        "Vary": "Accept-Encoding",
    }
    if file.packed and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(file.packed, media_type=file.media_type, headers={**headers, "Content-Encoding": "gzip"})
    return Response(file.data, media_type=file.media_type, headers=headers)


@functools.cache
def _names() -> dict[str, Path]:
    ours = {str(path.relative_to(_HERE)): path for path in _HERE.rglob("*") if path.is_file()}
    return ours | _FOREIGN


@functools.lru_cache(maxsize=200)
def _file(name: str) -> _File:
    path = _names().get(name)
    if path is None:
        raise HTTPException(404)
    data = path.read_bytes()
    packed = gzip.compress(data, 9) if len(data) >= _WORTH_PACKING else b""
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return _File(data=data, packed=packed, media_type=kind)


@functools.cache
def _release() -> str:
    found = hashlib.blake2b(digest_size=8)
    for name, path in sorted(_names().items()):
        if name not in _FOREIGN:
            found.update(name.encode() + path.read_bytes())
    return found.hexdigest()


@functools.cache
def _release_of(name: str) -> str:
    return hashlib.blake2b(_FOREIGN[name].read_bytes(), digest_size=8).hexdigest()
