"""/v1/programs: training programs, stored under the digest of their content."""

import anyio.to_thread
from fastapi import APIRouter, Request, Response, status
from starlette.datastructures import UploadFile

from tuning_service.api import paging
from tuning_service.api.deps import Counts, Tuning, Who
from tuning_service.api.errors import responses
from tuning_service.api.schemas import Page, ProgramOut
from tuning_service.domain.errors import FieldProblem, InvalidRequest, TooLarge

router = APIRouter(prefix="/v1/programs", tags=["programs"])
_BINARY = {"schema": {"type": "string", "format": "binary"}}


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    responses=responses(403, 413, 422),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/gzip": _BINARY,
                "application/zip": _BINARY,
                "application/octet-stream": _BINARY,
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["file"],
                        "properties": {"file": {"type": "string", "format": "binary"}},
                    }
                },
            },
        }
    },
)
async def upload_program(request: Request, response: Response, who: Who, tuning: Tuning, counts: Counts) -> ProgramOut:
    """Upload a program: a zip or tar.gz of its folder, as the body or as the form field `file`.

    The same content is stored once, so that sending it again has no further effect.
    """
    data = await _uploaded(request, tuning.max_upload_bytes)
    program = ProgramOut.of(await anyio.to_thread.run_sync(tuning.upload_program, who, data))
    counts.program_bytes.inc(len(data))
    response.headers["Location"] = f"/v1/programs/{program.digest}"
    return program


async def _uploaded(request: Request, limit: int) -> bytes:
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        async with request.form(max_files=1, max_fields=10) as form:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                problem = "the form has no file of this name."
                raise InvalidRequest(
                    FieldProblem(field="file", message=problem, remedy="Attach the archive as 'file'.")
                )
            return await file.read()
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > limit:
            raise TooLarge(f"A program may have {limit} bytes as an archive.")
    return bytes(data)


@router.get("", responses=responses(422))
def list_programs(
    who: Who, tuning: Tuning, limit: paging.Limit = 100, cursor: paging.Cursor = None
) -> Page[ProgramOut]:
    """List the tenant's programs, by digest."""
    position = paging.decode(cursor, str)
    found = tuning.programs(who, after=position[0] if position else "", limit=limit + 1)
    programs, last = paging.split(found, limit)
    return Page(
        items=[ProgramOut.of(program) for program in programs],
        next_cursor=None if last is None else paging.encode(last.digest),
    )


@router.get("/{digest}", responses=responses(404))
def get_program(digest: str, who: Who, tuning: Tuning) -> ProgramOut:
    """Get one program."""
    return ProgramOut.of(tuning.program(who, digest))


@router.delete("/{digest}", status_code=status.HTTP_204_NO_CONTENT, responses=responses(403, 404, 409))
def delete_program(digest: str, who: Who, tuning: Tuning) -> None:
    """Delete a program that no job uses."""
    tuning.delete_program(who, digest)
