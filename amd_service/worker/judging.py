"""Attempts to judge claimed recordings."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from amd_service.domain import Job, Verdict
from amd_service.errors import AmdError
from amd_service.operations.recording_queue import RecordingQueue
from amd_service.telemetry import Metrics, get_logger
from amd_service.worker.attempt import Attempts, Result
from amd_service.worker.retry import GiveUp, NextStep, Release, RetryLater, RetryPolicy, next_step
from amd_service.worker.shadow import ShadowRuns

log = get_logger(__name__)

Judge = Callable[[Job], Awaitable[Verdict]]

# An outage makes every attempt of every recording fail. So only one failure per kind of error and this many seconds is
# a warning.
WARNING_PAUSE_S = 60.0


class RecordingAttempts(Attempts[Job]):
    """Attempts to judge recordings. `judge` turns a job into a verdict.

    `shadow`: judges the recordings again after their verdicts are stored; None without a shadow model.
    """

    stage = "settle"

    def __init__(
        self,
        queue: RecordingQueue,
        judge: Judge,
        retries: RetryPolicy,
        metrics: Metrics,
        shadow: ShadowRuns | None = None,
    ) -> None:
        super().__init__(metrics)
        self._queue = queue
        self._judge = judge
        self._retries = retries
        self._shadow = shadow
        # Kind of error: time of its last warning by the event loop's clock.
        self._warned: dict[str, float] = {}

    async def make(self, job: Job) -> None:
        """Judge a recording and store the verdict. Then the shadow model may judge the same audio."""
        try:
            await super().make(job)
        finally:
            if self._shadow is not None:
                self._shadow.forget(job)

    async def work(self, job: Job) -> Result:
        """Judge a recording."""
        verdict = await self._judge(job)
        log.info("recording judged", label=verdict.label, confidence=verdict.confidence, reason=verdict.reason)
        write = partial(self._queue.settle, job, verdict)
        return Result(write) if self._shadow is None else Result(write, partial(self._shadow.start, job))

    async def release(self, job: Job) -> bool:
        """Make an interrupted job due again. Returns False if the lease was lost."""
        return await self._queue.release(job)

    def failed(self, error: Exception, job: Job) -> Result:
        """Return what the retry policy says."""
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
