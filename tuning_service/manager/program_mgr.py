"""ProgramMgr: looking into an uploaded program."""

import codecs
from collections.abc import Sequence
from dataclasses import dataclass

from tuning_service.domain.errors import NotFound, NotText
from tuning_service.domain.principal import Principal
from tuning_service.frameworks.placeholders import Placeholder, find_placeholders
from tuning_service.frameworks.program_files import read_file, read_program
from tuning_service.frameworks.prototxt import PATTERN
from tuning_service.storage.artifacts import ArtifactStore
from tuning_service.storage.store import Store

MOST_BYTES = 256 * 1024  # of a file, at once


@dataclass(frozen=True, slots=True, kw_only=True)
class FileText:
    """The beginning of a file; `whole` when there is no more of it."""

    text: str
    whole: bool


class ProgramMgr:
    """What is in programs. Reads the archive each time; nothing of it is run or written. Safe from any thread."""

    def __init__(self, store: Store, artifacts: ArtifactStore) -> None:
        self._store = store
        self._artifacts = artifacts

    def text(self, principal: Principal, digest: str, path: str) -> FileText:
        """A file's first `MOST_BYTES`.

        Raises:
            NotFound: no such program, or no such file in it.
            NotText: it is a link, or no UTF-8.
        """
        files, data = self._program(principal, digest)
        if path not in files:
            raise NotFound(f"There is no file {path!r} in this program.")
        content = read_file(data, path, MOST_BYTES + 1)
        if content is None:
            raise NotText(f"{path} is a link; look at the file that it points to.")
        whole = len(content) <= MOST_BYTES
        try:
            text = codecs.getincrementaldecoder("utf-8")().decode(content[:MOST_BYTES], final=whole)
        except UnicodeDecodeError:
            text = "\x00"
        if "\x00" in text:
            raise NotText(f"{path} is no text in UTF-8; download the program to look at it.")
        return FileText(text=text, whole=whole)

    def placeholders(self, principal: Principal, digest: str) -> Sequence[Placeholder]:
        """Names in the program's prototxt files that wait for values, by file. Raises NotFound."""
        files, data = self._program(principal, digest)
        return find_placeholders(read_program(data, files, [PATTERN]).texts)

    def _program(self, principal: Principal, digest: str) -> tuple[Sequence[str], bytes]:
        with self._store.read() as unit:
            program = unit.for_tenant(principal).program(digest)
        if program is None:
            raise NotFound(f"There is no program {digest!r}.")
        return program.files, self._artifacts.program(principal.tenant_id, digest)
