"""`tuning_service.probe` for trainings: a small archive on their PYTHONPATH, beside whatever else has that name."""

import contextlib
import functools
import hashlib
import io
import os
import pkgutil
import tempfile
import zipfile
from pathlib import Path

# Where the whole package is installed too, the rest of it is found there.
_JOINED = '\n__path__ = __import__("pkgutil").extend_path(__path__, __name__)\n'
MODULES = ("__init__.py", "keras.py", "trial.py")


def probe_archive(folder: Path) -> Path:
    """The archive in `folder`, for PYTHONPATH. Its content is checked each time: trainings could write there.

    Raises:
        OSError: it is not there and cannot be written.
    """
    data = _archive()
    path = folder / f"tuning-probe-{hashlib.sha256(data).hexdigest()[:16]}.zip"
    with contextlib.suppress(FileNotFoundError):
        if path.read_bytes() == data:
            return path
    descriptor, part = tempfile.mkstemp(prefix=".partial-", dir=folder)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
    Path(part).replace(path)
    return path


@functools.cache
def _archive() -> bytes:
    # pkgutil, because on executors this package lies in a zip itself.
    texts = {"__init__.py": _source("tuning_service", "__init__.py") + _JOINED.encode()}
    texts |= {f"probe/{name}": _source("tuning_service.probe", name) for name in MODULES}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in texts.items():
            archive.writestr(zipfile.ZipInfo(f"tuning_service/{name}"), text, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _source(package: str, name: str) -> bytes:
    data = pkgutil.get_data(package, name)
    assert data is not None
    return data
