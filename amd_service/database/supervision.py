"""Restarts the embedded Postgres if it dies, for example because the system ran out of memory and killed it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from amd_service.database.embedded import restart_if_dead
from amd_service.errors import ConfigurationError
from amd_service.telemetry import Metrics, get_logger

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RestartLimits:
    """Limits of restarts, in seconds.

    `check_s`: the pause between two checks. After each restart the pause doubles, at most to `longest_s`. After
    `calm_s` without a restart the pause is `check_s` again.
    """

    check_s: float = 1.0
    longest_s: float = 60.0
    calm_s: float = 300.0


@asynccontextmanager
async def restarting(
    data_dir: Path, metrics: Metrics | None, limits: RestartLimits = RestartLimits()
) -> AsyncIterator[None]:
    """Restart the embedded Postgres of `data_dir` whenever it has died, until the context ends."""
    task = asyncio.create_task(_restart_repeatedly(data_dir, metrics, limits))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _restart_repeatedly(data_dir: Path, metrics: Metrics | None, limits: RestartLimits) -> None:
    now = asyncio.get_running_loop().time
    pause_s, restarted_at = limits.check_s, now()
    while True:
        await asyncio.sleep(pause_s)
        try:
            # In a thread, because a start takes seconds. The start lock protects the server if this task is cancelled.
            is_restarted = await asyncio.to_thread(restart_if_dead, data_dir)
        except ConfigurationError as error:
            log.error("embedded Postgres died and does not start, retrying", error=str(error))
            is_restarted = False
            pause_s, restarted_at = min(pause_s * 2, limits.longest_s), now()
        except Exception:
            # Without this handler the restarts would end, and the next death of Postgres would stop the service.
            log.exception("check of the embedded Postgres failed, retrying")
            is_restarted = False
        if is_restarted:
            pause_s, restarted_at = min(pause_s * 2, limits.longest_s), now()
            log.error("embedded Postgres died, restarted", data_dir=str(data_dir), next_check_in_s=pause_s)
            if metrics is not None:
                metrics.postgres_restarts.inc()
        elif now() - restarted_at > limits.calm_s:
            pause_s = limits.check_s
