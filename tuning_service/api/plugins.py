"""/v1/plugins: search algorithms of the tenant's own."""

import anyio.to_thread
from fastapi import APIRouter, Query, Request, Response, status

from tuning_service.api.deps import Plugins, Who
from tuning_service.api.errors import responses
from tuning_service.api.schemas import Page, PluginOut
from tuning_service.api.uploads import body_of, read_upload
from tuning_service.manager.plugin_mgr import MAX_BYTES

router = APIRouter(prefix="/v1/plugins", tags=["plug-ins"])
_NAME = Query("", max_length=63, description="Of an archive of the older interface, which has no plugin.toml")
_VERSION = Query("", max_length=40, description="Of an archive of the older interface; 1 when left out")


@router.post(
    "",
    status_code=status.HTTP_202_ACCEPTED,
    responses=responses(403, 409, 413, 422),
    openapi_extra={"requestBody": body_of("name", "version")},
)
async def upload_plugin(
    request: Request, response: Response, who: Who, plugins: Plugins, name: str = _NAME, version: str = _VERSION
) -> PluginOut:
    """Upload a plug-in: a zip, tar or tar.gz of its folder, as the body or as the form field `file`.

    It is installed and tried out after the answer; ask for it until its status is `ready` or `failed`. The same content
    is stored once; other content needs another version.
    """
    data, form = await read_upload(request, MAX_BYTES, "A plug-in")
    name, version = name or form.get("name", ""), version or form.get("version", "")
    plugin = await anyio.to_thread.run_sync(lambda: plugins.upload(who, data, name=name, version=version))
    response.headers["Location"] = f"/v1/plugins/{plugin.name}/{plugin.version}"
    return PluginOut.of(plugin)


@router.get("", responses=responses())
def list_plugins(who: Who, plugins: Plugins) -> Page[PluginOut]:
    """List the plug-ins that the tenant may use, its own and the operator's, by name, oldest version first."""
    return Page(items=[PluginOut.of(plugin) for plugin in plugins.plugins(who)])


@router.get("/{name}", responses=responses(404))
def list_versions(name: str, who: Who, plugins: Plugins) -> Page[PluginOut]:
    """List the versions of one plug-in, oldest first."""
    return Page(items=[PluginOut.of(plugin) for plugin in plugins.plugins(who, name)])


@router.get("/{name}/{version}", responses=responses(404))
def get_plugin(name: str, version: str, who: Who, plugins: Plugins) -> PluginOut:
    """Get one version, with how far its installation is or why that failed."""
    return PluginOut.of(plugins.plugin(who, name, version))


@router.delete("/{name}/{version}", status_code=status.HTTP_204_NO_CONTENT, responses=responses(403, 404, 409))
def delete_plugin(name: str, version: str, who: Who, plugins: Plugins) -> None:
    """Delete a version that no unfinished job uses."""
    plugins.delete(who, name, version)
