"""/v1/tenants: for operators."""

from fastapi import APIRouter, Response, status

from tuning_service.api.deps import Access, IdempotencyKey, Tuning, Who
from tuning_service.api.errors import responses
from tuning_service.api.idempotency import answered_once
from tuning_service.api.schemas import Page, TenantIn, TenantOut

router = APIRouter(prefix="/v1/tenants", tags=["tenants"])


@router.post("", status_code=status.HTTP_201_CREATED, response_model=TenantOut, responses=responses(403, 409, 422))
def create_tenant(
    wish: TenantIn, who: Who, access: Access, tuning: Tuning, idempotency_key: IdempotencyKey = None
) -> Response:
    """Create a tenant. It has no keys yet: make one with POST /v1/keys."""

    def create() -> tuple[int, str]:
        tenant = TenantOut.of(access.create_tenant(who, wish.name, wish.max_parallel))
        return status.HTTP_201_CREATED, tenant.model_dump_json()

    return answered_once(tuning, who, idempotency_key, ["POST /v1/tenants", wish.model_dump(mode="json")], create)


@router.get("", responses=responses(403))
def list_tenants(who: Who, access: Access) -> Page[TenantOut]:
    """List all tenants, by name."""
    return Page(items=[TenantOut.of(tenant) for tenant in access.tenants(who)])
