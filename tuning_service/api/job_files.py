"""/v1/tuning-jobs/preview and …/file: job files before they are submitted, and of jobs that were."""

from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from starlette.responses import JSONResponse

from tuning_service.api.deps import Previews, Tuning, Who
from tuning_service.api.errors import responses, storable
from tuning_service.api.preview_schemas import PreviewIn, PreviewOut
from tuning_service.manager.job_writing import job_curl, job_json, job_python, job_yaml

router = APIRouter(prefix="/v1/tuning-jobs", tags=["tuning jobs"])


class Form(StrEnum):
    YAML = "yaml"
    JSON = "json"
    PYTHON = "python"
    CURL = "curl"


_MEDIA_TYPES = {
    Form.YAML: "application/yaml",
    Form.JSON: "application/json",
    Form.PYTHON: "text/x-python",
    Form.CURL: "text/x-shellscript",
}
_EXAMPLE = "name: digits\nframework: pytorch\nspace:\n  lr: {type: float, min: 0.0001, max: 0.3, scale: log}\n"


@router.post("/preview", response_model=PreviewOut, responses=responses(403, 422))
def preview_job(wish: PreviewIn, who: Who, previews: Previews) -> Response:
    """Look at a job file as a submission would, without storing anything: all its problems, and samples of its space.

    The answer is 200 whatever is wrong with the job file.
    """
    source = wish.yaml if wish.yaml is not None else wish.file or {}
    found = PreviewOut.of(previews.preview(who, source, samples=wish.samples, seed=wish.seed))
    # By hand: what is shown may hold what JSON has no words for.
    return JSONResponse(storable(found.model_dump()))


@router.get(
    "/{job_id}/file",
    response_class=Response,
    responses={
        **responses(404, 422),
        200: {
            "description": "The job file",
            "content": {kind: {"schema": {"type": "string"}, "example": _EXAMPLE} for kind in [_MEDIA_TYPES[Form.YAML]]}
            | {kind: {"schema": {"type": "string"}} for kind in list(_MEDIA_TYPES.values())[1:]},
        },
    },
)
def get_job_file(
    request: Request,
    job_id: str,
    who: Who,
    tuning: Tuning,
    form: Annotated[
        Form, Query(alias="as", description="yaml, json, a Python script, or a command with curl")
    ] = Form.YAML,
) -> Response:
    """Get the job file that makes such a job again, in one of several forms; its scripts take TUNING_API_KEY."""
    view, url = tuning.job(who, job_id), str(request.base_url)
    if form is Form.YAML:
        text = job_yaml(view)
    elif form is Form.JSON:
        text = job_json(view)
    else:
        text = job_python(view, url) if form is Form.PYTHON else job_curl(view, url)
    headers = {"X-Content-Type-Options": "nosniff"}
    return Response(text, media_type=_MEDIA_TYPES[form], headers=headers)
