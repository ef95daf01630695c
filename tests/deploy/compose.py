"""docker-compose.yml as compose reads it, as far as our files use it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
_VARIABLE = re.compile(r"\$\{([A-Z_]+)(?::([-?])([^}]*))?\}")


def load(*files: str, **environment: str) -> dict[str, Any]:
    """The first file, with the others laid over it and variables put in. Raises KeyError where one is required."""
    found: dict[str, Any] = {}
    for file in files or ("docker-compose.yml",):
        found = _laid_over(found, yaml.safe_load((ROOT / file).read_text()))
    filled: dict[str, Any] = _filled(found, environment)
    return filled


def in_order(services: Mapping[str, Any]) -> list[str]:
    """Names of the services, each after those that it waits for."""
    ordered: list[str] = []
    while len(ordered) < len(services):
        ready = [n for n, s in services.items() if n not in ordered and set(s.get("depends_on", ())) <= set(ordered)]
        assert ready, "services wait for each other"
        ordered += ready
    return ordered


def _laid_over(below: Any, above: Any) -> Any:
    if isinstance(below, dict) and isinstance(above, dict):
        return below | {key: _laid_over(below.get(key), value) for key, value in above.items()}
    return above


def _filled(item: Any, environment: Mapping[str, str]) -> Any:
    if isinstance(item, dict):
        return {key: _filled(value, environment) for key, value in item.items()}
    if isinstance(item, list):
        return [_filled(value, environment) for value in item]
    return _VARIABLE.sub(lambda m: _value(m, environment), item) if isinstance(item, str) else item


def _value(match: re.Match[str], environment: Mapping[str, str]) -> str:
    name, kind, rest = match.groups()
    if value := environment.get(name):
        return value
    if kind == "-":
        return rest
    raise KeyError(f"{name}: {rest}")
