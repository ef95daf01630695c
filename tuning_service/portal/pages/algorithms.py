"""The search algorithms: what there is, their options, and the tenant's own plug-ins."""

from typing import Any

import orjson

from tuning_service.api.schemas import AlgorithmOut
from tuning_service.domain.plugin import PluginStatus
from tuning_service.manager.catalogue import algorithm_catalogue
from tuning_service.portal.view import Page, View


def algorithms(view: View) -> Page:
    """All of them, and the way to bring one's own."""
    plugins = [] if view.is_operator else view.managers.plugins.plugins(view.principal)
    checks = view.managers.plugin_checks.of([p for p in plugins if p.status is PluginStatus.READY])
    items = [AlgorithmOut(**item).model_dump() for item in algorithm_catalogue(plugins)]
    found = [{**item, "rows": _options(item["options"])} for item in items]
    return Page(
        template="algorithms.html",
        title="Algorithms",
        here="algorithms",
        live="" if view.is_operator else "poll",
        scripts=("forms.js", "algorithms.js"),
        context={"algorithms": found, "plugins": [(plugin, checks.get(plugin.id)) for plugin in plugins]},
    )


def _options(schema: dict[str, Any]) -> list[dict[str, str]]:
    """One row for each option of a JSON schema."""
    return [
        {
            "name": name,
            "type": _type(option, schema),
            "default": "required" if name in schema.get("required", ()) else _text(option.get("default")),
            "description": option.get("description", ""),
        }
        for name, option in schema.get("properties", {}).items()
    ]


def _type(option: dict[str, Any], schema: dict[str, Any]) -> str:
    if "$ref" in option:
        option = schema.get("$defs", {}).get(option["$ref"].rpartition("/")[2], {})
    if "anyOf" in option:
        return " or ".join(dict.fromkeys(_type(part, schema) for part in option["anyOf"]))
    if "enum" in option:
        return " | ".join(map(_text, option["enum"]))
    names = {"integer": "whole number", "object": "mapping", "array": "list", "null": "null"}
    kind = names.get(option.get("type", ""), option.get("type", "any"))
    low = option.get("minimum", option.get("exclusiveMinimum"))
    high = option.get("maximum", option.get("exclusiveMaximum"))
    if low is not None and high is not None:
        return f"{kind}, {low:g} to {high:g}"
    if low is not None:
        return f"{kind}, {low:g} or more"
    return kind if high is None else f"{kind}, up to {high:g}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


PAGES = (("/algorithms", algorithms),)
