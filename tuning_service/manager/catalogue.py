"""What a job file may name: the search algorithms and the frameworks."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from tuning_service.domain.plugin import Plugin, PluginStatus
from tuning_service.frameworks.base import frameworks
from tuning_service.search.options import describe
from tuning_service.search.plugins.manifest import Manifest, version_key


def algorithm_catalogue(plugins: Sequence[Plugin] = ()) -> list[dict[str, Any]]:
    """Each algorithm with the JSON schema of its options, built-in ones first; `plugins` are sorted by name."""
    return describe() + [_described(list(versions)) for _, versions in groupby(plugins, lambda p: p.name)]


def framework_catalogue() -> list[dict[str, str]]:
    """Name and summary of each framework, by name."""
    return [{"name": name, "summary": manager.summary} for name, manager in sorted(frameworks().items())]


def plugin_kind(plugin: Plugin) -> str:
    """Whose it is."""
    return "operator-plugin" if plugin.tenant_id is None else "plugin"


def plugin_options(plugin: Plugin) -> dict[str, Any]:
    """JSON schema of its options; without properties for one whose plugin.toml could not be read."""
    if not plugin.digest:
        return {"properties": {}}
    return Manifest.from_json(plugin.manifest).options_type().model_json_schema()


def _described(versions: Sequence[Plugin]) -> dict[str, Any]:
    """A plug-in as jobs find it: its newest version that is ready, or its newest."""
    ordered = sorted(versions, key=lambda p: version_key(p.version))
    shown = ([p for p in ordered if p.status is PluginStatus.READY] or ordered)[-1]
    return {
        "name": shown.name,
        "kind": plugin_kind(shown),
        "version": shown.version,
        "versions": [p.version for p in ordered],
        "status": shown.status,
        "problem": shown.reason,
        "summary": shown.manifest.get("summary", ""),
        "most_objectives": shown.manifest.get("most_objectives", 1),
        "takes_constraints": shown.manifest.get("takes_constraints", False),
        "options": plugin_options(shown),
    }
