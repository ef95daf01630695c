"""Pages of lists: opaque cursors that tell where the next page begins."""

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

import orjson
from fastapi import Query

from tuning_service.domain.errors import FieldProblem, InvalidRequest

T = TypeVar("T")
Limit = Annotated[int, Query(ge=1, le=1000, description="Items per page")]
Cursor = Annotated[str | None, Query(max_length=4000, description="`next_cursor` of the page before")]


def encode(*position: Any) -> str:
    """The cursor for a position of JSON scalars."""
    return base64.urlsafe_b64encode(orjson.dumps(position)).decode().rstrip("=")


def decode(cursor: str | None, *kinds: type) -> list[Any] | None:
    """The position in a cursor, with values of these kinds (a whole number will do for a float); None at the start.

    Raises:
        InvalidRequest: no route has given out this cursor.
    """
    if cursor is None:
        return None
    try:
        position = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error) as error:
        raise bad_cursor() from error
    if not isinstance(position, list) or len(position) != len(kinds):
        raise bad_cursor()
    for value, kind in zip(position, kinds, strict=True):
        if isinstance(value, bool) or not isinstance(value, (int, float) if kind is float else kind):
            raise bad_cursor()
        if isinstance(value, int) and abs(value) >= 2**63:
            raise bad_cursor()
        if isinstance(value, str) and "\x00" in value:
            raise bad_cursor()
    return position


def bad_cursor() -> InvalidRequest:
    """For a cursor that does not belong to the list that is asked for."""
    problem = "is not a cursor of this list."
    return InvalidRequest(FieldProblem(field="cursor", message=problem, remedy="Use next_cursor as it was given."))


def split(items: Sequence[T], limit: int) -> tuple[Sequence[T], T | None]:
    """The page, and its last item when there are more: for lists that were asked for one item too many."""
    return (items[:limit], items[limit - 1]) if len(items) > limit else (items, None)
