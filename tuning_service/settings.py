"""What a deployment sets. Read once, at start; components get what concerns them and never this whole."""

import ipaddress
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import orjson

from tuning_service.domain.errors import GiveUp

PREFIX = "TUNING_SERVICE_"


def _default_data_dir() -> str:
    return str(Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share")) / "tuning-service")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Each field is set by the environment variable TUNING_SERVICE_<NAME>, or by an option of the command.

    deploy/env.example explains them all; a test compares the two.
    """

    data_dir: str = field(default_factory=_default_data_dir)
    database_url: str = ""  # default: sqlite in data_dir
    artifacts_url: str = ""  # default: a folder in data_dir; anything that fsspec takes
    host: str = "127.0.0.1"
    port: int = 8765
    service_url: str = ""  # where executors reach the service; default: host and port
    pool: str = "default"  # the compute pool that a controller serves
    spark_master: str = "local[*]"
    spark_conf: Mapping[str, str] = field(default_factory=dict)  # JSON object
    spark_python: str = ""  # Python on the executors; default: the service's own in local mode, python3 elsewhere
    # A standalone master that came back without its state has forgotten its applications. A controller that has had
    # no executor for so long connects anew.
    spark_patience_s: float = 60.0
    local_gpus: tuple[str, ...] = ()  # addresses to hand out in local mode: JSON list, or comma-separated
    # Python environments for programs, by name: the path of each one's interpreter on the executors. JSON object.
    environments: Mapping[str, str] = field(default_factory=dict)
    tick_s: float = 0.5  # longest time until a controller looks at its jobs again
    lease_s: float = 15.0
    heartbeat_s: float = 0.5  # longest silence of a runner, and so how soon a stop reaches it
    silent_s: float = 60.0  # a claimed task that is silent for longer is lost
    training_data_dir: str = ""  # on executors: DATA_DIR of trainings; an executor's own TUNING_DATA_DIR goes before it
    log_limit_bytes: int = 4 * 2**20  # of one task's log that is kept: the first and the last half of this
    artifact_limit_bytes: int = 256 * 2**20  # of the files that one trial leaves; 0: none are kept
    max_upload_bytes: int = 256 * 2**20
    max_unpacked_bytes: int = 1024 * 2**20
    max_unpacked_files: int = 20_000
    algorithm_processes: int = 2
    algorithm_timeout_s: float = 300.0
    plugins_dir: str = "plugins"  # the operator's plug-ins, for all tenants
    plugin_memory_bytes: int = 2 * 2**30
    plugin_timeout_s: float = 120.0
    plugin_install_s: float = 600.0
    session_idle_s: float = 12 * 3600.0  # a session of the portal ends so long after its last use
    session_lifetime_s: float = 7 * 24 * 3600.0  # and so long after the sign-in
    # Addresses and networks of proxies whose X-Forwarded-Proto and X-Forwarded-For are believed, comma-separated.
    trusted_proxies: tuple[str, ...] = ()
    log_format: str = "console"  # or json

    @property
    def database(self) -> str:
        """URL of the database."""
        return self.database_url or f"sqlite:///{Path(self.data_dir).absolute() / 'tuning.db'}"

    @property
    def artifacts(self) -> str:
        """URL of the artifact store."""
        return self.artifacts_url or str(Path(self.data_dir).absolute() / "artifacts")

    @classmethod
    def load(cls, environment: Mapping[str, str] = os.environ, **options: Any) -> "Settings":
        """Settings from the environment; `options` that are not None go before it.

        Raises:
            GiveUp: a variable does not parse, or is none of ours; or what it or an option says cannot be.
        """
        known = {f.name for f in fields(cls)}
        values: dict[str, Any] = {}
        for variable, text in environment.items():
            if not variable.startswith(PREFIX):
                continue
            name = variable.removeprefix(PREFIX).lower()
            if name not in known:
                raise GiveUp(f"{variable} is no setting of this service; see deploy/env.example.")
            try:
                values[name] = _parse(name, text)
            except ValueError as error:
                raise GiveUp(f"{variable}={text!r} cannot be read: {error}") from error
        values |= {name: value for name, value in options.items() if value is not None}
        for name, value in values.items():
            if problem := _problem(name, value):
                raise GiveUp(f"{PREFIX}{name.upper()} (or the option) is {value!r}: {problem}")
        return cls(**values)


_INTEGERS = frozenset(
    {
        "port",
        "log_limit_bytes",
        "artifact_limit_bytes",
        "max_upload_bytes",
        "max_unpacked_bytes",
        "max_unpacked_files",
        "algorithm_processes",
        "plugin_memory_bytes",
    }
)
_NUMBERS = frozenset(
    {
        "tick_s",
        "lease_s",
        "heartbeat_s",
        "silent_s",
        "spark_patience_s",
        "algorithm_timeout_s",
        "plugin_timeout_s",
        "plugin_install_s",
        "session_idle_s",
        "session_lifetime_s",
    }
)
_ZERO = frozenset({"port", "artifact_limit_bytes"})  # where it has a meaning
_LARGEST_PORT = 65535
_COUNTED = frozenset({"log_limit_bytes", "max_upload_bytes"})  # in columns of 32 bits
_MOST_COUNTED = 2**31 - 1
_LOG_FORMATS = ("console", "json")


def _problem(name: str, value: Any) -> str:
    """What to do about a value that cannot be, or ""."""
    if name == "port" and not 0 <= value <= _LARGEST_PORT:
        return f"use 0 to {_LARGEST_PORT}; 0 is any free port."
    if name in _INTEGERS | _NUMBERS and not (math.isfinite(value) and (value > 0 or (value == 0 and name in _ZERO))):
        return "use a number above zero." if name not in _ZERO else "use 0 or more."
    if name in _COUNTED and value > _MOST_COUNTED:
        return f"use at most {_MOST_COUNTED}."
    if name == "service_url" and value and not value.startswith(("http://", "https://")):
        return "begin it with http:// or https://."
    if name == "log_format" and value not in _LOG_FORMATS:
        return f"use one of {', '.join(_LOG_FORMATS)}."
    return ""


def _parse(name: str, text: str) -> Any:
    if name in _INTEGERS | _NUMBERS:
        kind, words = (int, "a whole number") if name in _INTEGERS else (float, "a number")
        try:
            return kind(text)
        except ValueError:
            raise ValueError(f"write {words}") from None
    if name in {"spark_conf", "environments"}:
        found = orjson.loads(text)
        if not isinstance(found, dict):
            raise ValueError('it is no JSON object, as in {"name": "value"}')
        return {key: str(value) for key, value in found.items()}
    if name == "trusted_proxies":
        return tuple(str(ipaddress.ip_network(part.strip())) for part in text.split(",") if part.strip())
    if name == "local_gpus":
        return tuple(part.strip() for part in text.strip("[]").replace('"', "").split(",") if part.strip())
    return str(Path(text).expanduser()) if name in {"data_dir", "plugins_dir"} else text
