"""/v1/tuning-jobs/{job}/trials/{number}: the files that a trial left, and what it used."""

from pathlib import PurePosixPath
from typing import Annotated
from urllib.parse import quote

import anyio.to_thread
from fastapi import APIRouter, Path, Request
from starlette.responses import Response, StreamingResponse

from tuning_service.api import paging
from tuning_service.api.artifact_schemas import ArtifactOut, ResourcesOut
from tuning_service.api.deps import Artifacts, Resources, Who
from tuning_service.api.errors import responses
from tuning_service.api.schemas import Page
from tuning_service.api.trials import Number, TaskNumber

router = APIRouter(prefix="/v1/tuning-jobs/{job_id}/trials/{number}", tags=["trials"])

# Whatever a training writes, a browser shall not run it as this site's: no HTML, no SVG.
_TYPES = dict.fromkeys(
    (".txt", ".log", ".csv", ".json", ".yaml", ".yml", ".md", ".prototxt"), "text/plain; charset=utf-8"
)
_TYPES |= {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp"}
_OTHER = "application/octet-stream"


@router.get("/resources", responses=responses(404, 422))
def get_resources(job_id: str, number: Number, who: Who, resources: Resources, task: TaskNumber = None) -> ResourcesOut:
    """Get what one execution of a trial used over time: CPU, memory, GPUs."""
    return ResourcesOut.of(resources.resources(who, job_id, number, task=task))


@router.get("/artifacts", responses=responses(404, 422))
def list_artifacts(
    job_id: str,
    number: Number,
    who: Who,
    artifacts: Artifacts,
    task: TaskNumber = None,
    limit: paging.Limit = 1000,
    cursor: paging.Cursor = None,
) -> Page[ArtifactOut]:
    """List the files that one execution of a trial left, by path."""
    position = paging.decode(cursor, str)
    after = position[0] if position else ""
    found = artifacts.artifacts(who, job_id, number, task=task, after=after, limit=limit + 1)
    items, last = paging.split(found, limit)
    return Page(
        items=[ArtifactOut.of(item) for item in items], next_cursor=None if last is None else paging.encode(last.path)
    )


@router.get(
    "/artifacts/{path:path}",
    response_class=Response,
    responses={
        **responses(404, 422),
        200: {
            "description": "The file, as an attachment",
            "content": {_OTHER: {"schema": {"type": "string", "format": "binary"}}},
        },
    },
)
async def download_artifact(
    request: Request,
    job_id: str,
    number: Number,
    path: Annotated[str, Path(max_length=600, examples=["model.pt"])],
    who: Who,
    artifacts: Artifacts,
    task: TaskNumber = None,
) -> Response:
    """Download one of the files that an execution of a trial left."""
    found, pieces = await anyio.to_thread.run_sync(lambda: artifacts.open(who, job_id, number, path, task=task))
    request.state.stream = True  # how long it takes says nothing of the service
    name = PurePosixPath(found.path)
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name.name, safe='')}",
        "Content-Length": str(found.bytes),
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "ETag": f'"{found.sha256}"',
        "X-Content-Type-Options": "nosniff",
    }
    return StreamingResponse(pieces, media_type=_TYPES.get(name.suffix.lower(), _OTHER), headers=headers)
