"""/v1/users: people who sign in with a password, of the own tenant or, for operators, of any."""

from typing import Annotated

from fastapi import APIRouter, Query, Response, status

from tuning_service.api.deps import IdempotencyKey, Tuning, Users, Who
from tuning_service.api.errors import responses
from tuning_service.api.idempotency import Answer, Keep, answered_once
from tuning_service.api.schemas import Page
from tuning_service.api.user_schemas import UserChange, UserIn, UserOut

router = APIRouter(prefix="/v1/users", tags=["users"])


@router.post("", status_code=status.HTTP_201_CREATED, response_model=UserOut, responses=responses(403, 404, 409, 422))
def create_user(
    wish: UserIn, who: Who, users: Users, tuning: Tuning, idempotency_key: IdempotencyKey = None
) -> Response:
    """Create a user, who signs in with this name and password."""

    def create(_keep: Keep) -> Answer:
        user = users.create(who, name=wish.name, role=wish.role, password=wish.password, tenant=wish.tenant)
        return status.HTTP_201_CREATED, UserOut.of(user).model_dump_json()

    # Without the password, of which a fast hash would be kept else.
    request = ["POST /v1/users", wish.model_dump(mode="json", exclude={"password"})]
    return answered_once(tuning, who, idempotency_key, request, create)


@router.get("", responses=responses(403, 404))
def list_users(
    who: Who, users: Users, tenant: Annotated[str | None, Query(description="Id or name; for operators")] = None
) -> Page[UserOut]:
    """List the own tenant's users, by name. An operator without `tenant` sees the operators."""
    return Page(items=[UserOut.of(user) for user in users.users(who, tenant)])


@router.get("/{user_id}", responses=responses(403, 404))
def get_user(user_id: str, who: Who, users: Users) -> UserOut:
    """One user."""
    return UserOut.of(users.user(who, user_id))


@router.patch("/{user_id}", responses=responses(403, 404, 409, 422))
def change_user(user_id: str, change: UserChange, who: Who, users: Users) -> UserOut:
    """Change a user's role or password, or disable a user. The latter two end all sessions of the user at once."""
    changed = users.change(who, user_id, role=change.role, password=change.password, disabled=change.disabled)
    return UserOut.of(changed)


@router.delete("/{user_id}", status_code=status.HTTP_204_NO_CONTENT, responses=responses(403, 404, 409))
def delete_user(user_id: str, who: Who, users: Users) -> None:
    """Delete a user: all sessions end, and jobs stay."""
    users.delete(who, user_id)
