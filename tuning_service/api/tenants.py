"""/v1/tenants, for operators, and /v1/tenant, the own one."""

from fastapi import APIRouter, Response, status

from tuning_service.api.deps import Access, IdempotencyKey, Tuning, Who
from tuning_service.api.errors import responses
from tuning_service.api.idempotency import Answer, Keep, answered_once
from tuning_service.api.schemas import Page
from tuning_service.api.tenant_schemas import TenantChange, TenantDetail, TenantIn, TenantOut

router = APIRouter(tags=["tenants"])


@router.post(
    "/v1/tenants", status_code=status.HTTP_201_CREATED, response_model=TenantOut, responses=responses(403, 409, 422)
)
def create_tenant(
    wish: TenantIn, who: Who, access: Access, tuning: Tuning, idempotency_key: IdempotencyKey = None
) -> Response:
    """Create a tenant. It has no keys yet: make one with POST /v1/keys."""

    def create(_keep: Keep) -> Answer:
        tenant = TenantOut.of(access.create_tenant(who, wish.name, **wish.quotas()))
        return status.HTTP_201_CREATED, tenant.model_dump_json()

    return answered_once(tuning, who, idempotency_key, ["POST /v1/tenants", wish.model_dump(mode="json")], create)


@router.get("/v1/tenants", responses=responses(403))
def list_tenants(who: Who, access: Access) -> Page[TenantOut]:
    """List all tenants, by name."""
    return Page(items=[TenantOut.of(tenant) for tenant in access.tenants(who)])


@router.get("/v1/tenants/{tenant}", responses=responses(403, 404))
def get_tenant(tenant: str, who: Who, access: Access) -> TenantDetail:
    """A tenant, by id or name, with its quotas and what it uses; for operators."""
    return TenantDetail.with_usage(*access.tenant(who, tenant))


@router.patch("/v1/tenants/{tenant}", responses=responses(403, 404, 422))
def change_tenant(tenant: str, change: TenantChange, who: Who, access: Access) -> TenantOut:
    """Change a tenant's weight and quotas; for operators. It takes effect within seconds, and what runs goes on."""
    return TenantOut.of(access.change_tenant(who, tenant, **change.given()))


@router.get("/v1/tenant", responses=responses(403))
def get_own_tenant(who: Who, access: Access) -> TenantDetail:
    """The own tenant, with its quotas and what it uses."""
    return TenantDetail.with_usage(*access.tenant(who))
