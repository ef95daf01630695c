"""A program's archive as framework managers look at it."""

from collections.abc import Collection

from tuning_service.frameworks.base import ProgramFiles
from tuning_service.runner.archive import BundleLimits, entries
from tuning_service.runner.templates import matches

_LONGEST = 2**20
# These bytes were accepted when they were uploaded, under limits of the deployment's choice.
_AS_ACCEPTED = BundleLimits(total_bytes=2**62, files=2**31)


def read_program(data: bytes, names: Collection[str], patterns: Collection[str]) -> ProgramFiles:
    """The program in the archive `data`, with the texts of files that match `patterns`.

    A file that is no UTF-8, or has more than a MiB, is among the names only. Raises BadBundle.
    """
    texts: dict[str, str] = {}
    for entry in entries(data, _AS_ACCEPTED) if patterns else ():
        if entry.kind != "file" or not matches(entry.name, patterns):
            continue
        content = bytearray()
        for chunk in entry.chunks():
            content += chunk
            if len(content) > _LONGEST:
                break
        else:
            try:
                texts[entry.name] = content.decode("utf-8")
            except UnicodeDecodeError:
                continue
    return ProgramFiles(names=frozenset(names), texts=texts)


def read_file(data: bytes, name: str, most: int) -> bytes | None:
    """The first `most` bytes of a file of the archive `data`; None when there is no ordinary file of that name.

    Raises BadBundle.
    """
    for entry in entries(data, _AS_ACCEPTED):
        if entry.name != name:
            continue
        if entry.kind != "file":
            return None
        content = bytearray()
        for chunk in entry.chunks():
            content += chunk
            if len(content) >= most:
                break
        return bytes(content[:most])
    return None
