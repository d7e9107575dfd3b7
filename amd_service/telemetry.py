"""Logs and metrics. Logs contain no secrets and no full phone numbers. Importing this module configures nothing."""

import logging
import os
import re
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from amd_service.domain import Failure

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
            text = _E164.sub(lambda match: f"{match.group()[:3]}…{match.group()[-2:]}", str(value))
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


class Metrics:
    """The service's Prometheus metrics. Each instance has a separate registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        self.callbacks = Counter("amd_callbacks", "Callbacks by route and outcome.", ["route", "outcome"], registry=r)
        self.unknown_values = Counter(
            "amd_unknown_values",
            "Callback values that Twilio does not document, by parameter.",
            ["parameter"],
            registry=r,
        )
        self.queue_depth = Gauge("amd_queue_depth", "Recordings by state.", ["state"], registry=r)
        self.queue_oldest_s = Gauge(
            "amd_queue_oldest_seconds", "Seconds since the oldest due recording became due.", registry=r
        )
        self.stage_seconds = Histogram(
            "amd_stage_seconds",
            "Seconds per stage of processing a recording.",
            ["stage"],
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
            registry=r,
        )
        self.verdicts = Counter("amd_verdicts", "Verdicts by label and reason.", ["label", "reason"], registry=r)
        self.retries = Counter("amd_retries", "Recordings scheduled for a retry, by error.", ["error"], registry=r)
        self.given_up = Counter(
            "amd_buried", "Recordings given up without a verdict, by reason.", ["reason"], registry=r
        )
        # If a time series began at its first event, `increase()` in Prometheus would not count that event.
        for failure in Failure:
            self.given_up.labels(failure)
        self.actions = Counter(
            "amd_actions", "Actions after a verdict, by kind and outcome.", ["kind", "outcome"], registry=r
        )
        self.forgotten = Counter(
            "amd_forgotten",
            "Data deleted or made unreadable by retention, and refused deletions, by kind.",
            ["what"],
            registry=r,
        )
        self.calls_started = Counter("amd_calls_started", "Call requests by outcome.", ["outcome"], registry=r)
        self.live_streams = Gauge("amd_live_streams", "Live streams in progress.", registry=r)
        self.streams = Counter(
            "amd_streams", "Live streams that ended or were refused, by outcome.", ["outcome"], registry=r
        )
        self.reconciled = Counter(
            "amd_reconciled",
            "Calls, recordings and changes found by reconciliation, by kind.",
            ["what"],
            registry=r,
        )
        self.loop_errors = Counter(
            "amd_loop_errors", "Errors after which a background loop continued.", ["loop"], registry=r
        )
        self.lock_timeouts = Counter(
            "amd_lock_timeouts", "Transactions that waited too long for a lock of another session.", registry=r
        )
        self.postgres_restarts = Counter(
            "amd_postgres_restarts", "Restarts of the embedded Postgres after it had died.", registry=r
        )
        self.classifier_ready = Gauge("amd_classifier_ready", "1 if the model is loaded and warmed up.", registry=r)
        self.model_proof = Gauge(
            "amd_model_proof",
            "1 for the current result of the check with golden clips (recordings with known labels).",
            ["outcome"],
            registry=r,
        )
        self.inference_queue = Gauge("amd_inference_queue", "Windows waiting for the model.", registry=r)
        self.inference_restarts = Counter("amd_inference_restarts", "Crashes of the inference thread.", registry=r)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure the seconds of a pipeline stage, also if the stage raises."""
        started = perf_counter()
        try:
            yield
        finally:
            self.stage_seconds.labels(name).observe(perf_counter() - started)
