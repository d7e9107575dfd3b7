"""Work that comes round by the clock, beside the queue: acting on verdicts, reconciling, forgetting."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from amd_service.errors import AmdError, Retryable
from amd_service.telemetry import Metrics, get_logger

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PeriodicTask:
    """Something to do every `every_s` seconds, and at once when `wake` is set.

    Its errors never end it; one that asks for a longer pause (`retry_after_s`) gets it.
    """

    name: str
    every_s: float
    work: Callable[[], Awaitable[object]]
    wake: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def doing(periodic_tasks: Sequence[PeriodicTask], metrics: Metrics, *, grace_s: float) -> AsyncIterator[None]:
    """Do them until the context ends; one that is in the middle then has `grace_s` seconds to come to an end."""
    stopping = asyncio.Event()
    tasks = [asyncio.create_task(_keep_doing(task, stopping, metrics)) for task in periodic_tasks]
    try:
        yield
    finally:
        stopping.set()
        for task in periodic_tasks:
            task.wake.set()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=grace_s)
            for running in late:
                running.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _keep_doing(task: PeriodicTask, stopping: asyncio.Event, metrics: Metrics) -> None:
    while not stopping.is_set():
        task.wake.clear()
        pause_s = task.every_s
        try:
            await task.work()
        except AmdError as error:
            metrics.loop_errors.labels(task.name).inc()
            if isinstance(error, Retryable):
                pause_s = max(pause_s, error.retry_after_s or 0.0)
            log.warning("put off", task=task.name, error=str(error), in_s=pause_s)
        except Exception:
            # The loop must outlive any fault of a single pass; it is counted, logged and comes round again.
            metrics.loop_errors.labels(task.name).inc()
            log.exception("failed", task=task.name)
        if not stopping.is_set():
            await _until(task.wake, pause_s)


async def _until(wake: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await wake.wait()
    except TimeoutError:
        return
