"""Uploaded archives: as the body, or as the file of a form."""

from typing import Any

from fastapi import Request
from starlette.datastructures import UploadFile

from tuning_service.domain.errors import FieldProblem, InvalidRequest, TooLarge

_BINARY = {"schema": {"type": "string", "format": "binary"}}


def body_of(*fields: str) -> dict[str, Any]:
    """The request's body for OpenAPI; `fields` are texts that a form may hold beside the file."""
    properties = {"file": {"type": "string", "format": "binary"}} | {name: {"type": "string"} for name in fields}
    form = {"schema": {"type": "object", "required": ["file"], "properties": properties}}
    kinds = ("application/gzip", "application/zip", "application/octet-stream")
    return {"required": True, "content": dict.fromkeys(kinds, _BINARY) | {"multipart/form-data": form}}


async def read_upload(request: Request, limit: int, what: str) -> tuple[bytes, dict[str, str]]:
    """The archive, and the texts that came with it in a form.

    Raises:
        InvalidRequest: a form without a file.
        TooLarge: more than `limit` bytes; `what` names the thing in the message.
    """
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        async with request.form(max_files=1, max_fields=10) as form:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                problem = "the form has no file of this name."
                raise InvalidRequest(
                    FieldProblem(field="file", message=problem, remedy="Attach the archive as 'file'.")
                )
            return await file.read(), {name: value for name, value in form.items() if isinstance(value, str)}
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > limit:
            raise TooLarge(f"{what} may have at most {limit} bytes as an archive.")
    return bytes(data), {}
