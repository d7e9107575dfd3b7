"""Starts and ends the process of a command: settings, logging, event loop, signals and exit code."""

import gc
import os
import signal
import sys
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from amd_service.settings import Settings

T = TypeVar("T")


def prepare_output() -> None:
    """Make the standard streams usable for every text.

    A closed stream (`>&-`) is None and is replaced by the null device. If the locale is not UTF-8 (`LANG=C`), a
    character that the locale does not have is printed as an escape sequence.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - open until the exit
        elif isinstance(stream, TextIOWrapper) and stream.encoding.lower() != "utf-8":
            stream.reconfigure(errors="backslashreplace")


def load_settings_and_logging(*, quiet: bool = False, model: str | None = None, **overrides: Any) -> "Settings":
    """Load the settings and configure logging with them.

    `quiet`: log only warnings and errors. `model`: replaces AMD_MODEL, whose revision and labels then do
    not apply.
    """
    from amd_service.settings import load_settings
    from amd_service.settings.warnings import setting_warnings
    from amd_service.telemetry import configure_logging, get_logger

    settings = load_settings(**overrides)
    if model:
        settings = settings.with_model(model)
    configure_logging(log_format=settings.log_format, level="warning" if quiet else settings.log_level)
    for line in setting_warnings(settings):
        get_logger(__name__).warning(line)
    return settings


@contextmanager
def importing() -> Iterator[None]:
    """Import modules without runs of the garbage collector, and exclude what exists then from its later runs.

    This saves a tenth of a second at the start of a service, and a stall of 70 ms in each full run. Use it before the
    process starts other threads.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` on uvloop and return its result. Exits with 143 if SIGTERM cancelled `work`.

    The cancelled `work` can stop its child processes and its embedded Postgres. `serve` replaces this handler of
    SIGTERM.
    """
    import asyncio

    import uvloop

    async def cancel_on_sigterm() -> T:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await work

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            return runner.run(cancel_on_sigterm())
        except asyncio.CancelledError:
            raise SystemExit(128 + signal.SIGTERM) from None


def exit_despite_threads() -> None:
    """Exit with code 0 at once if a daemon thread still runs, e.g. a thread that is loading the model.

    If the interpreter shut down normally, it would free memory that the native code of the thread still uses, and the
    process would abort.
    """
    if any(thread.daemon for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
