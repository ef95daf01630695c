"""/v1/algorithms and /v1/frameworks: what a job file may name."""

from fastapi import APIRouter

from tuning_service.api.deps import Who
from tuning_service.api.errors import responses
from tuning_service.api.schemas import AlgorithmOut, FrameworkOut, Page
from tuning_service.manager.catalogue import algorithm_catalogue, framework_catalogue

router = APIRouter(prefix="/v1", tags=["catalogue"], responses=responses())


@router.get("/algorithms")
def list_algorithms(_who: Who) -> Page[AlgorithmOut]:
    """List the search algorithms, each with the JSON schema of its options."""
    return Page(items=[AlgorithmOut(**item) for item in algorithm_catalogue()])


@router.get("/frameworks")
def list_frameworks(_who: Who) -> Page[FrameworkOut]:
    """List the frameworks that programs may be written with."""
    return Page(items=[FrameworkOut(**item) for item in framework_catalogue()])
