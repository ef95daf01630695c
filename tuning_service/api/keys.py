"""/v1/keys: API keys, of the own tenant or, for operators, of any."""

from typing import Annotated

from fastapi import APIRouter, Query, Response, status

from tuning_service.api.deps import Access, IdempotencyKey, Tuning, Who
from tuning_service.api.errors import responses
from tuning_service.api.idempotency import Answer, Keep, answered_once
from tuning_service.api.schemas import KeyIn, KeyOut, NewKeyOut, Page
from tuning_service.domain.errors import Conflict, FieldProblem, InvalidRequest

router = APIRouter(prefix="/v1/keys", tags=["keys"])


@router.post("", status_code=status.HTTP_201_CREATED, response_model=NewKeyOut, responses=responses(403, 404, 409, 422))
def create_key(
    wish: KeyIn, who: Who, access: Access, tuning: Tuning, idempotency_key: IdempotencyKey = None
) -> Response:
    """Create a key. Its `secret` is shown in this answer and never again."""
    if wish.expires_at is not None and wish.expires_at.tzinfo is None:
        remedy = "Append Z for UTC: 2031-01-01T00:00:00Z."
        raise InvalidRequest(FieldProblem(field="expires_at", message="has no time zone.", remedy=remedy))
    made: NewKeyOut | None = None

    def create(_keep: Keep) -> Answer:
        nonlocal made
        key, secret = access.create_key(
            who,
            name=wish.name,
            role=wish.role,
            tenant=wish.tenant,
            expires_at=None if wish.expires_at is None else wish.expires_at.timestamp(),
        )
        made = NewKeyOut.with_secret(key, secret)
        return status.HTTP_201_CREATED, KeyOut.of(key).model_dump_json()

    response = answered_once(tuning, who, idempotency_key, ["POST /v1/keys", wish.model_dump(mode="json")], create)
    if made is None:
        # A secret is stored nowhere, so the first answer cannot be given again.
        key = KeyOut.model_validate_json(bytes(response.body))
        raise Conflict(
            f"This request has already made the key {key.id}, which is shown once. Revoke it and make another."
        )
    return Response(made.model_dump_json(), status_code=status.HTTP_201_CREATED, media_type="application/json")


@router.get("", responses=responses(403, 404))
def list_keys(
    who: Who, access: Access, tenant: Annotated[str | None, Query(description="Id or name; for operators")] = None
) -> Page[KeyOut]:
    """List the own tenant's keys, oldest first. An operator without `tenant` sees the operators'."""
    return Page(items=[KeyOut.of(key) for key in access.keys(who, tenant)])


@router.delete("/{key_id}", responses=responses(403, 404, 409))
def revoke_key(key_id: str, who: Who, access: Access) -> KeyOut:
    """Revoke a key: it is refused from now on."""
    return KeyOut.of(access.revoke_key(who, key_id))
