"""Users and sessions in requests and answers."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from tuning_service.api.schemas import Out, moment, moment_or_none
from tuning_service.domain.errors import FieldProblem, InvalidRequest
from tuning_service.domain.principal import Principal, User
from tuning_service.domain.state import Role
from tuning_service.manager.passwords import LONGEST, SHORTEST
from tuning_service.manager.session_mgr import Session

_PASSWORD = f"{SHORTEST} to {LONGEST} characters"


class SignIn(BaseModel):
    """Either an API key, or a user's name and password."""

    key: str | None = Field(None, max_length=200, description="An API key, and nothing else")
    tenant: str = Field("", max_length=100, description="The user's tenant, by name or id; operators leave it out")
    name: str | None = Field(None, max_length=100)
    password: str | None = Field(None, max_length=LONGEST)

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"tenant": "vision", "name": "ada", "password": "correct horse battery"}, {"key": "tsk_…"}]
        },
    )

    def check(self) -> None:
        """Raises InvalidRequest when it is neither the one nor the other, or both."""
        with_password = {"tenant", "name", "password"} & {n for n in self.model_fields_set if getattr(self, n)}
        if self.key and with_password:
            message, remedy = "comes with a name or a password.", "Send either a key, or tenant, name and password."
            raise InvalidRequest(FieldProblem(field="key", message=message, remedy=remedy))
        if not self.key:
            missing = [name for name in ("name", "password") if not getattr(self, name)]
            problems = (FieldProblem(field=n, message="is missing.", remedy="Add it, or send a key.") for n in missing)
            if missing:
                raise InvalidRequest(*problems)


class PrincipalOut(Out):
    """Who is signed in."""

    id: str = Field(description="Of the key or the user: the `owner` of jobs", examples=["user_01k9b0m3r1x5v7t2c4n6p8"])
    name: str = Field(description="Of the key or the user", examples=["ada"])
    role: Role
    tenant: str | None = Field(description="Its name; null for operators", examples=["vision"])
    is_user: bool = Field(description="false: the holder of an API key, who has no password")


class SessionOut(Out):
    principal: PrincipalOut
    csrf: str | None = Field(
        description="To be sent as X-CSRF-Token with each request that changes something; null for an API key"
    )
    expires_at: datetime | None = Field(description="When the session ends unless it is used; null for an API key")
    ends_at: datetime | None = Field(description="When it ends however much it is used; null for an API key")

    @classmethod
    def of(cls, who: Principal, session: Session | None) -> "SessionOut":
        principal = PrincipalOut(
            id=who.key_id,
            name=who.name,
            role=who.role,
            tenant=None if who.tenant is None else who.tenant.name,
            is_user=who.user_id is not None,
        )
        return cls(
            principal=principal,
            csrf=None if session is None else session.csrf,
            expires_at=None if session is None else moment(session.expires_at),
            ends_at=None if session is None else moment(session.ends_at),
        )


class PasswordChange(BaseModel):
    old_password: str = Field(max_length=LONGEST)
    new_password: str = Field(description=_PASSWORD)

    model_config = ConfigDict(extra="forbid")


class UserIn(BaseModel):
    name: str = Field(examples=["ada"], description="Up to 63 lower-case letters, digits, dots, dashes, underscores")
    role: Role = Role.MEMBER
    password: str = Field(description=_PASSWORD, examples=["correct horse battery"])
    tenant: str | None = Field(None, description="Id or name; for operators")

    model_config = ConfigDict(extra="forbid")


class UserChange(BaseModel):
    """What is left out stays as it is."""

    role: Role | None = None
    password: str | None = Field(None, description=_PASSWORD)
    disabled: bool | None = Field(None, description="true: cannot sign in, and is signed out at once")

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"role": "viewer"}, {"disabled": True}]})


class UserOut(Out):
    id: str = Field(examples=["user_01k9b0m3r1x5v7t2c4n6p8q0sw"])
    tenant_id: str | None = Field(description="null: an operator")
    name: str = Field(examples=["ada"])
    role: Role
    created_at: datetime
    disabled_at: datetime | None

    @classmethod
    def of(cls, user: User) -> "UserOut":
        return cls(
            id=user.id,
            tenant_id=user.tenant_id,
            name=user.name,
            role=user.role,
            created_at=moment(user.created_at),
            disabled_at=moment_or_none(user.disabled_at),
        )
