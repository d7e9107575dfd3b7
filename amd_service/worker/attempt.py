"""One attempt of a claimed job, from the claim to the stored result."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from structlog.contextvars import bound_contextvars

from amd_service.errors import DatabaseLocked, DatabaseUnavailable
from amd_service.telemetry import Metrics, get_logger

log = get_logger(__name__)

# Pause in seconds before a database operation that failed is repeated. While a result waits for a lock, the pause
# doubles up to the second value, because each wait for the lock uses a connection of the pool.
DATABASE_PAUSE_S = 1.0
LONGEST_LOCK_PAUSE_S = 5.0


class ClaimedJob(Protocol):
    """A row that a worker has claimed."""

    @property
    def log_fields(self) -> dict[str, object]:
        """Fields of every log line about this job."""
        ...


J = TypeVar("J", bound=ClaimedJob)


@dataclass(frozen=True, slots=True)
class Result:
    """Result of an attempt.

    `write` stores the result and returns False if the lease was lost. `count` counts a stored result in the metrics.
    """

    write: Callable[[], Awaitable[bool]]
    count: Callable[[], None] = lambda: None


class Attempts(ABC, Generic[J]):
    """Attempts of claimed jobs. Any number of attempts may run at once.

    `stage`: the stage under which the metrics measure the storing of a result.
    """

    stage: str

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        # Called when a result has to wait for a lock of another database session.
        self.on_locked: Callable[[], None] = lambda: None
        # Jobs whose result waits for a lock. Other jobs use their slots meanwhile.
        self.locked: set[J] = set()
        # Deadline on the event loop's clock, set by a shutdown. After the deadline, storing a result is not retried.
        self.deadline = float("inf")

    @abstractmethod
    async def work(self, job: J) -> Result:
        """Do the work of a job. An error becomes the result `failed`."""

    @abstractmethod
    def failed(self, error: Exception, job: J) -> Result:
        """Return the result of a failed attempt: a retry, or giving up."""

    @abstractmethod
    async def release(self, job: J) -> bool:
        """Release a job whose attempt was cancelled. Returns False if the lease was lost."""

    async def make(self, job: J) -> None:
        """Do the work of a job and store the result. A cancelled attempt releases its job."""
        with bound_contextvars(**job.log_fields):
            try:
                result = await self._result(job)
            except asyncio.CancelledError:
                await self._store(job, Result(lambda: self.release(job)))
                raise
            try:
                is_stored = await self._store(job, result)
            except Exception as error:  # noqa: BLE001 - every failure is stored on the row
                is_stored = await self._store(job, self.failed(error, job))
            if not is_stored:
                log.warning(
                    "result not stored", reason="lease lost, or the database was unavailable until the shutdown"
                )

    async def _result(self, job: J) -> Result:
        try:
            return await self.work(job)
        except Exception as error:  # noqa: BLE001 - every failure is stored on the row
            return self.failed(error, job)

    async def _store(self, job: J, result: Result) -> bool:
        """Store and count a result. Returns False if the lease was lost or the deadline has passed.

        While the database is unavailable or a row is locked, storing is repeated. Heartbeats keep the lease of a job
        that waits for a lock. After a lost lease nothing is counted, because the worker that now holds the job
        stores and counts another result.
        """
        now = asyncio.get_running_loop().time
        pause_s = DATABASE_PAUSE_S
        try:
            while True:
                try:
                    with self._metrics.stage(self.stage):
                        is_stored = await result.write()
                except DatabaseUnavailable as error:
                    log.warning("result not stored, retrying", error=str(error), in_s=pause_s)
                    if now() > self.deadline:
                        return False
                    if isinstance(error, DatabaseLocked):
                        self.locked.add(job)
                        self.on_locked()
                    await asyncio.sleep(pause_s)
                    pause_s = min(pause_s * 2, LONGEST_LOCK_PAUSE_S) if job in self.locked else DATABASE_PAUSE_S
                else:
                    if is_stored:
                        result.count()
                    return is_stored
        finally:
            self.locked.discard(job)
