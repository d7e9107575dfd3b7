"""One attempt to judge a recording, from the claim to the stored result."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from structlog.contextvars import bound_contextvars

from amd_service.domain import Job, Verdict
from amd_service.errors import AmdError, DatabaseLocked, DatabaseUnavailable
from amd_service.operations.recording_queue import RecordingQueue
from amd_service.telemetry import Metrics, get_logger
from amd_service.worker.retry import GiveUp, NextStep, Release, RetryLater, RetryPolicy, next_step

log = get_logger(__name__)

Judge = Callable[[Job], Awaitable[Verdict]]

# Pause in seconds before a database operation that failed is repeated. While a result waits for a lock, the pause
# doubles up to the second value, because each wait for the lock uses a connection of the pool.
DATABASE_PAUSE_S = 1.0
LONGEST_LOCK_PAUSE_S = 5.0
# An outage makes every attempt of every recording fail. So only one failure per kind of error and this many seconds is
# a warning.
WARNING_PAUSE_S = 60.0


@dataclass(frozen=True, slots=True)
class Result:
    """Result of an attempt.

    `write` stores the result and returns False if the lease was lost. `count` counts a stored result in the metrics.
    """

    write: Callable[[], Awaitable[bool]]
    count: Callable[[], None] = lambda: None


class Attempts:
    """Attempts to judge claimed recordings. Any number of attempts may run at once.

    `on_locked`: called when a result has to wait for a lock of another database session.
    """

    def __init__(
        self,
        queue: RecordingQueue,
        judge: Judge,
        retries: RetryPolicy,
        metrics: Metrics,
        on_locked: Callable[[], None] = lambda: None,
    ) -> None:
        self._queue = queue
        self._judge = judge
        self._retries = retries
        self._metrics = metrics
        self._on_locked = on_locked
        # Jobs whose result waits for a lock. The model works on other jobs meanwhile.
        self.locked: set[Job] = set()
        # Deadline on the event loop's clock, set by a shutdown. After the deadline, storing a result is not retried.
        self.deadline = float("inf")
        # Kind of error: time of its last warning by the event loop's clock.
        self._warned: dict[str, float] = {}

    async def make(self, job: Job) -> None:
        """Judge a recording and store the result. A cancelled attempt releases its recording."""
        with bound_contextvars(call_sid=job.call_sid, recording_sid=job.recording_sid, attempt=job.attempts):
            try:
                result = await self._judge_recording(job)
            except asyncio.CancelledError:
                await self._store(job, Result(partial(self._queue.release, job)))
                raise
            try:
                is_stored = await self._store(job, result)
            except Exception as error:  # noqa: BLE001 - every failure is stored on the row
                is_stored = await self._store(job, self._failed(error, job))
            if not is_stored:
                log.warning(
                    "result not stored", reason="lease lost, or the database was unavailable until the shutdown"
                )

    async def _judge_recording(self, job: Job) -> Result:
        try:
            verdict = await self._judge(job)
        except Exception as error:  # noqa: BLE001 - every failure is stored on the row
            return self._failed(error, job)
        log.info("recording judged", label=verdict.label, confidence=verdict.confidence, reason=verdict.reason)
        return Result(partial(self._queue.settle, job, verdict))

    def _failed(self, error: Exception, job: Job) -> Result:
        step = next_step(error, self._retries, attempts=job.attempts, waited_s=job.waited_s)
        text = f"{type(error).__name__}: {error}"
        say = log.warning if self._is_warning(error, step) else log.info
        say("attempt failed", error=text, next=str(step), exc_info=not isinstance(error, AmdError))
        return self._result_of(step, job, text)

    def _is_warning(self, error: Exception, step: NextStep) -> bool:
        """Return whether a failure is new. Released recordings fail again until the outage ends."""
        now, kind = asyncio.get_running_loop().time(), type(error).__name__
        if isinstance(step, Release) and now - self._warned.get(kind, -WARNING_PAUSE_S) < WARNING_PAUSE_S:
            return False
        self._warned[kind] = now
        return True

    def _result_of(self, step: NextStep, job: Job, error: str) -> Result:
        kind = error.partition(":")[0]
        match step:
            case Release(delay_s):
                count = self._metrics.retries.labels(kind).inc
                return Result(partial(self._queue.release, job, delay_s=delay_s, error=error), count)
            case RetryLater(delay_s, failure):
                write = partial(self._queue.retry_later, job, delay_s=delay_s, error=error, failure=failure)
                return Result(write, self._metrics.retries.labels(kind).inc)
            case GiveUp(failure):
                count = self._metrics.given_up.labels(failure).inc
                return Result(partial(self._queue.give_up, job, failure, error), count)

    async def _store(self, job: Job, result: Result) -> bool:
        """Store and count a result. Returns False if the lease was lost or the deadline has passed.

        While the database is unavailable or a row is locked, storing is repeated. Heartbeats keep the lease of a job
        that waits for a lock. After a lost lease nothing is counted, because the worker that now holds the recording
        stores and counts another result.
        """
        now = asyncio.get_running_loop().time
        pause_s = DATABASE_PAUSE_S
        try:
            while True:
                try:
                    with self._metrics.stage("settle"):
                        is_stored = await result.write()
                except DatabaseUnavailable as error:
                    log.warning("result not stored, retrying", error=str(error), in_s=pause_s)
                    if now() > self.deadline:
                        return False
                    if isinstance(error, DatabaseLocked):
                        self.locked.add(job)
                        self._on_locked()
                    await asyncio.sleep(pause_s)
                    pause_s = min(pause_s * 2, LONGEST_LOCK_PAUSE_S) if job in self.locked else DATABASE_PAUSE_S
                else:
                    if is_stored:
                        result.count()
                    return is_stored
        finally:
            self.locked.discard(job)
