"""/v1/programs/{digest}/files and …/placeholders: looking into a program."""

from typing import Any

from fastapi import APIRouter, Response
from pydantic import Field

from tuning_service.api.deps import Programs, Who
from tuning_service.api.errors import responses
from tuning_service.api.schemas import Out, Page
from tuning_service.frameworks.placeholders import Placeholder

router = APIRouter(prefix="/v1/programs/{digest}", tags=["programs"])


class PlaceholderOut(Out):
    name: str = Field(examples=["BASE_LR"])
    file: str = Field(examples=["solver.prototxt"])
    line: int = Field(examples=[4])
    column: int = Field(examples=[10])
    field: str = Field(description="The field whose value it stands for", examples=["base_lr"])
    block: str = Field(description="What that field is in: convolution_param; empty for the file itself", examples=[""])
    parameter: dict[str, Any] | None = Field(
        description="An entry for a job file's space that would suit it, guessed from field and name; null: no guess",
        examples=[{"type": "float", "min": 0.0001, "max": 0.1, "scale": "log"}],
    )

    @classmethod
    def of(cls, found: Placeholder) -> "PlaceholderOut":
        same = ("name", "file", "line", "column", "field", "block")
        parameter = None if found.parameter is None else dict(found.parameter)
        return cls(parameter=parameter, **{name: getattr(found, name) for name in same})


@router.get("/placeholders", responses=responses(404))
def list_placeholders(digest: str, who: Who, programs: Programs) -> Page[PlaceholderOut]:
    """List the names in a program's prototxt files that wait for values, by file, in their order."""
    return Page(items=[PlaceholderOut.of(found) for found in programs.placeholders(who, digest)])


@router.get(
    "/files/{path:path}",
    response_class=Response,
    responses={
        **responses(404, 415),
        200: {
            "description": "The file, its first 256 KiB; X-Content-Complete is false when there is more of it",
            "content": {"text/plain": {"schema": {"type": "string"}, "example": "base_lr: BASE_LR\n"}},
        },
    },
)
def get_program_file(digest: str, path: str, who: Who, programs: Programs) -> Response:
    """Get the text of one file of a program."""
    found = programs.text(who, digest, path)
    # Nothing that a tenant has uploaded is to be taken for a page.
    headers = {"X-Content-Type-Options": "nosniff", "X-Content-Complete": str(found.whole).lower()}
    return Response(found.text, media_type="text/plain; charset=utf-8", headers=headers)
