"""Periodic tasks: work that a process repeats at an interval, such as reconciliation or retention."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from amd_service.errors import AmdError, Retryable
from amd_service.telemetry import Metrics, get_logger

log = get_logger(__name__)

# The same error of a task is logged once in this time, because a task may run every second.
_LOG_AGAIN_S = 60.0


@dataclass(frozen=True, slots=True)
class PeriodicTask:
    """Work that is repeated every `every_s` seconds, and immediately after `wake` is set.

    An error never ends the task. If `retry_after_s` of the error is longer than `every_s`, the task pauses for
    `retry_after_s` seconds. `pause_s`: minimum pause after each run. Work that arrives during the pause is then done
    together.
    """

    name: str
    every_s: float
    work: Callable[[], Awaitable[object]]
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    pause_s: float = 0.0


@asynccontextmanager
async def run_periodically(tasks: Sequence[PeriodicTask], metrics: Metrics, *, grace_s: float) -> AsyncIterator[None]:
    """Run the tasks until the context ends. A task that is running at that time has `grace_s` seconds to finish."""
    stopping = asyncio.Event()
    loops = [asyncio.create_task(_loop(task, stopping, metrics)) for task in tasks]
    try:
        yield
    finally:
        stopping.set()
        for task in tasks:
            task.wake.set()
        if loops:
            _, late = await asyncio.wait(loops, timeout=grace_s)
            for loop in late:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)


async def _loop(task: PeriodicTask, stopping: asyncio.Event, metrics: Metrics) -> None:
    logged, logged_at, clock = "", 0.0, asyncio.get_running_loop().time
    while not stopping.is_set():
        task.wake.clear()
        pause_s = task.every_s
        try:
            await task.work()
            logged = ""
        except AmdError as error:
            metrics.loop_errors.labels(task.name).inc()
            if isinstance(error, Retryable):
                pause_s = max(pause_s, error.retry_after_s or 0.0)
            if str(error) != logged or clock() - logged_at > _LOG_AGAIN_S:
                log.warning("periodic task failed, retrying", task=task.name, error=str(error), in_s=pause_s)
                logged, logged_at = str(error), clock()
        except Exception:
            # An unexpected error must not end the loop. The error is counted and logged, and the task runs again.
            metrics.loop_errors.labels(task.name).inc()
            log.exception("periodic task failed", task=task.name)
        if task.pause_s:
            await _wait(stopping, task.pause_s)
        if not stopping.is_set():
            await _wait(task.wake, pause_s)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
