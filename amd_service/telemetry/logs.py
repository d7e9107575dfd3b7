"""Logs. They contain no secrets and no full phone numbers."""

import logging
import os
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from amd_service.telemetry.command_name import with_command_name

_SECRET_KEYS = re.compile(r"token|secret|password|authorization|signature|api_key", re.IGNORECASE)
_E164 = re.compile(r"(?:\+|%2B)\d{7,15}\b", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"(?<=://)([^/@\s:]*):[^/\s]+@")
_CREDENTIALS = re.compile(r"\b(Basic|Bearer)\s+[\w+/=.~-]{6,}|\b(token|secret|password|key)=[^&\s]+", re.IGNORECASE)


def _redact(value: Any) -> Any:
    """Remove secrets at any depth. Values other than numbers, dicts and sequences are converted to text."""
    match value:
        case None | bool() | int() | float():
            return value
        case dict():
            return {key: "…" if _SECRET_KEYS.search(str(key)) else _redact(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_redact(item) for item in value]
        case _:
            named = with_command_name(str(value))
            text = _E164.sub(lambda match: f"{match.group()[:3]}…{match.group()[-2:]}", named)
            text = _CREDENTIALS.sub(lambda match: f"{match.group(1) or match.group(2)} …", text)
            return _URL_PASSWORD.sub(r"\1:…@", text)


def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Remove secrets by key, and remove phone numbers and URL passwords from any text. A structlog processor."""
    event.pop("color_message", None)  # uvicorn adds a second copy of the message, with escape codes
    redacted: dict[str, Any] = _redact(dict(event))
    return redacted


def configure_logging(*, log_format: str, level: str) -> None:
    """Write logs of structlog and of the standard library (uvicorn, SQLAlchemy) to stderr in one format."""
    as_json = log_format == "json" or (log_format == "auto" and not sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.ExtraAdder(),
    ]
    # Exceptions are rendered before redaction, because a traceback can contain a URL with a password.
    # NO_COLOR switches colours off (https://no-color.org).
    colours = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    tail: list[structlog.typing.Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        redact,
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=colours),
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=tail))
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # httpx2 logs full URLs at INFO
    logging.getLogger("alembic").setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared[:-1], structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return a structured logger. To log a SID with every event, use `structlog.contextvars.bound_contextvars`."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger
