"""/v1/programs: training programs, stored under the digest of their content."""

import anyio.to_thread
from fastapi import APIRouter, Request, Response, status

from tuning_service.api import paging
from tuning_service.api.deps import Counts, Programs, Who
from tuning_service.api.errors import responses
from tuning_service.api.schemas import Page, ProgramOut
from tuning_service.api.uploads import body_of, read_upload

router = APIRouter(prefix="/v1/programs", tags=["programs"])


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    responses=responses(403, 413, 422),
    openapi_extra={"requestBody": body_of()},
)
async def upload_program(
    request: Request, response: Response, who: Who, programs: Programs, counts: Counts
) -> ProgramOut:
    """Upload a program: a zip or tar.gz of its folder, as the body or as the form field `file`.

    The same content is stored once, so that sending it again has no further effect.
    """
    data, _ = await read_upload(request, programs.max_upload_bytes, "A program")
    program = ProgramOut.of(await anyio.to_thread.run_sync(programs.upload, who, data))
    counts.program_bytes.inc(len(data))
    response.headers["Location"] = f"/v1/programs/{program.digest}"
    return program


@router.get("", responses=responses(422))
def list_programs(
    who: Who, programs: Programs, limit: paging.Limit = 100, cursor: paging.Cursor = None
) -> Page[ProgramOut]:
    """List the tenant's programs, by digest."""
    position = paging.decode(cursor, str)
    found = programs.programs(who, after=position[0] if position else "", limit=limit + 1)
    shown, last = paging.split(found, limit)
    return Page(
        items=[ProgramOut.of(program) for program in shown],
        next_cursor=None if last is None else paging.encode(last.digest),
    )


@router.get("/{digest}", responses=responses(404))
def get_program(digest: str, who: Who, programs: Programs) -> ProgramOut:
    """Get one program."""
    return ProgramOut.of(programs.program(who, digest))


@router.delete("/{digest}", status_code=status.HTTP_204_NO_CONTENT, responses=responses(403, 404, 409))
def delete_program(digest: str, who: Who, programs: Programs) -> None:
    """Delete a program that no job uses."""
    programs.delete(who, digest)
