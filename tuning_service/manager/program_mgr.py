"""ProgramMgr: uploaded programs, and what is in them."""

import codecs
from collections.abc import Sequence
from dataclasses import dataclass

from tuning_service.domain.clock import Clock, system_clock
from tuning_service.domain.errors import FieldProblem, InvalidRequest, NotFound, NotText, OverQuota, TooLarge
from tuning_service.domain.principal import Principal
from tuning_service.domain.state import Role
from tuning_service.frameworks.placeholders import Placeholder, find_placeholders
from tuning_service.frameworks.program_files import read_file, read_program
from tuning_service.frameworks.prototxt import PATTERN
from tuning_service.manager.quotas import check_storage
from tuning_service.runner import bundle
from tuning_service.storage.artifacts import ArtifactStore
from tuning_service.storage.store import Store
from tuning_service.storage.tenant_scope import Program

MOST_BYTES = 256 * 1024  # of a file, at once


@dataclass(frozen=True, slots=True, kw_only=True)
class FileText:
    """The beginning of a file; `whole` when there is no more of it."""

    text: str
    whole: bool


class ProgramMgr:
    """Upload, list, look into, delete. Looking reads the archive each time; nothing of it is run or written.

    Safe from any thread.
    """

    def __init__(
        self,
        store: Store,
        artifacts: ArtifactStore,
        *,
        bundle_limits: bundle.BundleLimits,
        max_upload_bytes: int,
        clock: Clock = system_clock,
    ) -> None:
        self._store = store
        self._artifacts = artifacts
        self._limits = bundle_limits
        self.max_upload_bytes = max_upload_bytes
        self._clock = clock

    def upload(self, principal: Principal, data: bytes) -> Program:
        """The stored program; the same content is stored once per tenant.

        Raises:
            InvalidRequest: the archive is broken, or would write outside its folder.
            TooLarge: it is larger than the deployment allows.
            OverQuota: the tenant's quota of storage is used up.
        """
        principal.require(Role.MEMBER)
        if len(data) > self.max_upload_bytes:
            most = self.max_upload_bytes
            raise TooLarge(f"A program may have at most {most} bytes as an archive; this one has {len(data)}.")
        try:
            summary = bundle.inspect(data, self._limits)
        except bundle.BadBundle as error:
            problem = FieldProblem(
                field="program", message=f"{error}.", remedy="Upload a zip or tar.gz of plain files and folders."
            )
            raise InvalidRequest(problem) from error
        program = Program(
            digest=bundle.digest(data), bytes=len(data), files=tuple(summary.files), created_at=self._clock()
        )
        # Bytes before the row: a row without its bytes would be found by a runner, bytes without a row by nobody.
        self._artifacts.put_program(principal.tenant_id, program.digest, data)
        try:
            with self._store.write() as unit:
                scope = unit.for_tenant(principal)
                tenant = scope.lock()  # so a deletion's look for unused bytes comes wholly before or after
                if scope.program(program.digest) is None:
                    check_storage(scope, tenant, program.bytes)
                scope.add_program(program)
        except OverQuota:
            self._drop_unused(principal, program.digest)
            raise
        if not self._artifacts.has_program(principal.tenant_id, program.digest):
            # Deleted between the two steps above; any deletion from here on takes the row along.
            self._artifacts.put_program(principal.tenant_id, program.digest, data)
        return program

    def _drop_unused(self, principal: Principal, digest: str) -> None:
        """Delete the bytes unless a row has them: what is refused or deleted takes no room.

        In a transaction of its own, for one that may still be rolled back would keep a row without its bytes.
        """
        with self._store.write() as unit:
            scope = unit.for_tenant(principal)
            scope.lock()  # so nobody adds a row meanwhile
            if scope.program(digest) is None:
                self._artifacts.delete_program(principal.tenant_id, digest)

    def program(self, principal: Principal, digest: str) -> Program:
        """Raises NotFound."""
        with self._store.read() as unit:
            program = unit.for_tenant(principal).program(digest)
        if program is None:
            raise NotFound(f"There is no program {digest!r}.")
        return program

    def programs(self, principal: Principal, *, after: str, limit: int) -> Sequence[Program]:
        """By digest, those above `after`."""
        with self._store.read() as unit:
            return unit.for_tenant(principal).programs(after=after, limit=limit)

    def delete(self, principal: Principal, digest: str) -> None:
        """Its row and its bytes are gone.

        Raises:
            NotFound
            Conflict: a job uses it.
        """
        principal.require(Role.MEMBER)
        with self._store.write() as unit:
            scope = unit.for_tenant(principal)
            if scope.program(digest) is None:
                raise NotFound(f"There is no program {digest!r}.")
            scope.delete_program(digest)
        self._drop_unused(principal, digest)

    def text(self, principal: Principal, digest: str, path: str) -> FileText:
        """A file's first `MOST_BYTES`.

        Raises:
            NotFound: no such program, or no such file in it.
            NotText: it is a link, or no UTF-8.
        """
        files, data = self._read(principal, digest)
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
        files, data = self._read(principal, digest)
        return find_placeholders(read_program(data, files, [PATTERN]).texts)

    def _read(self, principal: Principal, digest: str) -> tuple[Sequence[str], bytes]:
        return self.program(principal, digest).files, self._artifacts.program(principal.tenant_id, digest)


__all__ = ["MOST_BYTES", "FileText", "Program", "ProgramMgr"]
