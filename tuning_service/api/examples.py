"""/v1/examples: jobs to begin with."""

from typing import Any

from fastapi import APIRouter, Response, status
from pydantic import Field

from tuning_service.api.deps import Counts, Programs, Who
from tuning_service.api.errors import responses
from tuning_service.api.schemas import Out, Page, ProgramOut
from tuning_service.manager.examples import Example, example, examples, packed_example

router = APIRouter(prefix="/v1/examples", tags=["examples"])


class ExampleOut(Out):
    name: str = Field(examples=["digits_pytorch"])
    title: str = Field(examples=["Digits with PyTorch"])
    description: str
    framework: str = Field(examples=["pytorch"])
    files: list[str] = Field(description="Of its program", examples=[["README.md", "job.yaml", "train.py"]])

    @classmethod
    def of(cls, found: Example) -> "ExampleOut":
        return cls(**{name: getattr(found, name) for name in cls.model_fields} | {"files": list(found.files)})


class ExampleDetail(ExampleOut):
    file: dict[str, Any] = Field(
        description="Its job file; put the digest that POST …/program answers in the place of program"
    )
    yaml: str = Field(description="The same as it is written, with comments")


@router.get("", responses=responses())
def list_examples(_who: Who) -> Page[ExampleOut]:
    """List the examples, by name."""
    return Page(items=[ExampleOut.of(found) for found in examples()])


@router.get("/{name}", responses=responses(404))
def get_example(name: str, _who: Who) -> ExampleDetail:
    """Get one example with its job file."""
    found = ExampleDetail.of(example(name))
    assert isinstance(found, ExampleDetail)
    return found


@router.post("/{name}/program", status_code=status.HTTP_201_CREATED, responses=responses(403, 404))
def upload_example(name: str, response: Response, who: Who, programs: Programs, counts: Counts) -> ProgramOut:
    """Store an example's program for the tenant, as an upload of it does. Doing so again has no further effect."""
    data = packed_example(name)
    program = ProgramOut.of(programs.upload(who, data))
    counts.program_bytes.inc(len(data))
    response.headers["Location"] = f"/v1/programs/{program.digest}"
    return program
