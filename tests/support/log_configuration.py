"""Configuration of logging in tests."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog


def log_plain_tracebacks() -> None:
    """Configure structlog as by default, but log tracebacks without the variables, which can take seconds."""
    structlog.reset_defaults()
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], plain])


@contextmanager
def restored_logging() -> Iterator[None]:
    """Undo `configure_logging`, whose handler writes to the captured stream of one test."""
    handlers, level = logging.root.handlers[:], logging.root.level
    try:
        yield
    finally:
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)
        log_plain_tracebacks()
