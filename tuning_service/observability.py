"""Structured logs: one line per event, with the tenant, job, trial and task that it concerns.

Whoever knows them binds them with `structlog.contextvars`; every line written meanwhile carries them, also those of
libraries that use the standard `logging`.
"""

import logging
import sys
from typing import Any, TextIO

import structlog


def configure(log_format: str = "console", *, level: int = logging.INFO, stream: TextIO | None = None) -> None:
    """All logs of this process go to `stream` (standard error unless given) from now on; may be called again.

    Raises:
        ValueError: the format is neither console nor json.
    """
    if log_format not in {"console", "json"}:
        raise ValueError(f"log format {log_format!r} is neither console nor json")
    target = stream or sys.stderr
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        # Not cached: a logger that a module made before this call must obey it too.
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=_rendering(log_format, target))
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    # One line for each request of each library's client says nothing that ours do not.
    for chatty in ("httpx", "httpcore", "py4j", "alembic.runtime.migration", "uvicorn"):
        logging.getLogger(chatty).setLevel(max(level, logging.WARNING))


def _rendering(log_format: str, stream: TextIO) -> list[Any]:
    """The last processors. Neither form shows local variables: API keys and tenants' data are among them."""
    without_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if log_format == "json":
        transformer = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        return [
            without_meta,
            structlog.processors.ExceptionRenderer(transformer),
            structlog.processors.JSONRenderer(),
        ]
    plain = structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback)
    return [without_meta, plain]
