"""The client's calls about plug-ins."""

import time
from collections.abc import Callable
from pathlib import Path

from tuning_service.client.calls import Calls, JsonDict, segment
from tuning_service.client.errors import BadJobFile


class PluginCalls(Calls):
    """Upload, list, wait, delete: part of `TuningClient`."""

    def upload_plugin(self, source: Path | str, *, name: str = "", version: str = "") -> JsonDict:
        """Upload a plug-in's folder or archive; it is installed and tried out afterwards: see `wait_for_plugin`.

        `name` and `version` are for archives of the older interface, which have no plugin.toml.
        """
        from tuning_service.runner import bundle

        path = Path(source)
        try:
            data = bundle.pack(path) if path.is_dir() else path.read_bytes()
        except (bundle.BadBundle, OSError) as error:
            raise BadJobFile("plugin", f"{error}.", "Name the plug-in's folder or archive.") from error
        params = {key: value for key, value in {"name": name, "version": version}.items() if value}
        headers = {"Content-Type": "application/octet-stream"}
        return self._dict("POST", "/v1/plugins", content=data, params=params, headers=headers)

    def plugins(self, name: str | None = None) -> list[JsonDict]:
        """The tenant's plug-ins and the operator's, or the versions of one."""
        return list(self._pages("/v1/plugins" if name is None else f"/v1/plugins/{segment(name)}", {}))

    def plugin(self, name: str, version: str) -> JsonDict:
        """One version of a plug-in."""
        return self._dict("GET", _plugin(name, version))

    def wait_for_plugin(
        self,
        name: str,
        version: str,
        on_change: Callable[[JsonDict], object] | None = None,
        timeout_s: float | None = None,
        poll_s: float = 0.3,
    ) -> JsonDict:
        """The plug-in once it is ready or failed. `on_change` is told it at first and when its reason has changed.

        Raises:
            TimeoutError: it is still being installed after `timeout_s`.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        shown: object = None
        while True:
            plugin = self._patiently(lambda: self.plugin(name, version), deadline)
            if on_change is not None and (plugin["status"], plugin["reason"]) != shown:
                on_change(plugin)
            shown = (plugin["status"], plugin["reason"])
            if plugin["status"] != "installing":
                return plugin
            if deadline is not None and time.monotonic() + poll_s > deadline:
                raise TimeoutError(f"Plug-in {name} {version} is still being installed after {timeout_s} s.")
            time.sleep(poll_s)

    def check_plugin(self, name: str, version: str, timeout_s: float = 600.0) -> JsonDict:
        """Run the suite of the service's own algorithms over a plug-in: {"passed", "results": [{"name", "ok", …}]}."""
        return self._dict("POST", f"{_plugin(name, version)}/check", timeout=timeout_s)

    def plugin_check(self, name: str, version: str) -> JsonDict:
        """What the last check said, and whether one runs."""
        return self._dict("GET", f"{_plugin(name, version)}/check")

    def delete_plugin(self, name: str, version: str) -> None:
        """Delete a version that no unfinished job uses."""
        self._transport.send("DELETE", _plugin(name, version))


def _plugin(name: str, version: str) -> str:
    return f"/v1/plugins/{segment(name)}/{segment(version)}"
