"""claim → judge → settle, as many at a time as configured; drains on shutdown."""

import asyncio
import os
import secrets
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from sqlalchemy.ext.asyncio import AsyncSession
from structlog.contextvars import bound_contextvars

from amd_service.calls import queue
from amd_service.database.listener import wake_on_notify
from amd_service.database.pool import Database
from amd_service.domain import Job, Verdict
from amd_service.errors import AmdError, DatabaseUnavailable
from amd_service.settings import Settings
from amd_service.telemetry import Metrics, get_logger
from amd_service.worker.retry import GiveUp, NextStep, Release, RetryLater, next_step

log = get_logger(__name__)

Judge = Callable[[Job], Awaitable[Verdict]]
Write = Callable[[AsyncSession], Awaitable[bool]]

DATABASE_PAUSE_S = 1.0
LEAST_SLEEP_S = 0.2
GIVING_BACK_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Result:
    """How an attempt ended: what is to be written, and what is to be counted once it has been."""

    write: Write
    count: Callable[[], None] = lambda: None


class Worker:
    """Works off the queue until told to stop.

    `judge` turns a job into a verdict. `ready` says whether it can at the moment: while it is false nothing is
    claimed, so recordings wait in Postgres instead of using up their attempts.
    """

    def __init__(
        self,
        *,
        database: Database,
        judge: Judge,
        ready: Callable[[], bool],
        settings: Settings,
        metrics: Metrics,
        name: str | None = None,
    ) -> None:
        self._database = database
        self._judge = judge
        self._ready = ready
        self._settings = settings
        self._metrics = metrics
        self.name = name or f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
        self._held: dict[asyncio.Task[None], Job] = {}
        self._wake = asyncio.Event()
        self._stopping = False
        # Set at shutdown: no result is held back for the database's return after it.
        self._last_moment = float("inf")

    def stop(self) -> None:
        """Claim nothing more; `run` returns once what is held is finished or given back."""
        self._stopping = True
        self._wake.set()

    def wake(self) -> None:
        """Look for work now: a notification came, or the classifier became ready."""
        self._wake.set()

    async def run(self, *, grace_s: float) -> None:
        """Work until `stop()`; then finish what is held within `grace_s` seconds, or give it back."""
        log.info("worker started", worker=self.name, concurrency=self._settings.worker_concurrency)
        heartbeat = asyncio.create_task(self._keep_leases())
        try:
            async with wake_on_notify(self._database.url, self._wake, self._metrics):
                while not self._stopping:
                    await self._sleep(await self._start_what_is_due())
        finally:
            await self._let_go(grace_s)
            heartbeat.cancel()
            log.info("worker stopped", worker=self.name)

    async def drain(self) -> int:
        """Work until nothing is due; the number of attempts made. For tests and one-off runs."""
        made = 0
        while await self._claim():
            made += len(self._held)
            await asyncio.gather(*self._held)
        return made

    async def _start_what_is_due(self) -> float:
        """Fill the free slots; seconds to sleep if nothing wakes us earlier."""
        self._wake.clear()
        try:
            if not self._ready():
                return self._settings.poll_s
            while await self._claim():
                continue
            async with self._database.transaction() as session:
                due_s = await queue.seconds_until_due(session)
        except DatabaseUnavailable as error:
            self._metrics.loop_errors.labels("claim").inc()
            log.warning("database away, trying again", error=str(error))
            return DATABASE_PAUSE_S
        except Exception:
            # The loop must outlive any fault of a single pass; it is counted, logged and slowed down.
            self._metrics.loop_errors.labels("claim").inc()
            log.exception("claiming failed", worker=self.name)
            return DATABASE_PAUSE_S
        free = self._settings.worker_concurrency - len(self._held)
        if due_s is None or not free:
            return self._settings.poll_s
        # Due and yet not claimed: somebody else is at that row for the moment.
        return min(self._settings.poll_s, max(LEAST_SLEEP_S, due_s))

    async def _sleep(self, seconds: float) -> None:
        if self._stopping:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _claim(self) -> bool:
        """Claim as many jobs as there are free slots and start them. Whether there may be more to claim."""
        free = self._settings.worker_concurrency - len(self._held)
        if free <= 0 or self._stopping:
            return False
        async with self._database.transaction() as session:
            claimed = await queue.claim(
                session,
                worker=self.name,
                limit=free,
                lease_s=self._settings.job_lease_s,
                max_attempts=self._settings.job_max_attempts,
            )
        for failure, count in claimed.given_up.items():
            self._metrics.given_up.labels(failure).inc(count)
        for job in claimed.jobs:
            self._start(job)
        return bool(claimed.jobs or claimed.given_up)

    def _start(self, job: Job) -> None:
        task = asyncio.create_task(self._work(job))
        self._held[task] = job
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        job = self._held.pop(task, None)
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._metrics.loop_errors.labels("settle").inc()
            sid = job.recording_sid if job else None
            log.error("a result could not be written; its lease will run out", recording_sid=sid, exc_info=error)

    async def _work(self, job: Job) -> None:
        with bound_contextvars(call_sid=job.call_sid, recording_sid=job.recording_sid, attempt=job.attempts):
            try:
                result = await self._attempt(job)
            except asyncio.CancelledError:
                await self._commit(Result(partial(queue.release, job=job)))
                raise
            if not await self._settle(job, result):
                log.warning("lease lost before the result was written; whoever took over writes it")

    async def _settle(self, job: Job, result: Result) -> bool:
        """Write a result. What is wrong with the writing itself is a bug like any other in this attempt."""
        try:
            return await self._commit(result)
        except Exception as error:  # noqa: BLE001 - becomes a row, like every failure
            return await self._commit(self._after(error, job))

    async def _attempt(self, job: Job) -> Result:
        try:
            verdict = await self._judge(job)
        except Exception as error:  # noqa: BLE001 - the one place where every failure becomes a row
            return self._after(error, job)
        log.info("judged", label=verdict.label, confidence=verdict.confidence, reason=verdict.reason)
        count = self._metrics.verdicts.labels(verdict.label, verdict.reason).inc
        wanted = self._settings.actions
        return Result(partial(queue.settle, job=job, verdict=verdict, wanted=wanted), count)

    def _after(self, error: Exception, job: Job) -> Result:
        settings = self._settings
        step = next_step(
            error,
            attempts=job.attempts,
            max_attempts=settings.job_max_attempts,
            base_s=settings.job_retry_base_s,
            waited_s=job.waited_s,
            outage_s=settings.job_outage_s,
        )
        text = f"{type(error).__name__}: {error}"
        log.warning("attempt failed", error=text, next=str(step), exc_info=not isinstance(error, AmdError))
        return self._result_of(step, job, text)

    def _result_of(self, step: NextStep, job: Job, text: str) -> Result:
        kind = text.partition(":")[0]
        match step:
            case Release(delay_s):
                count = self._metrics.retries.labels(kind).inc
                return Result(partial(queue.release, job=job, delay_s=delay_s, error=text), count)
            case RetryLater(delay_s, failure):
                count = self._metrics.retries.labels(kind).inc
                return Result(partial(queue.retry_later, job=job, delay_s=delay_s, error=text, failure=failure), count)
            case GiveUp(failure):
                count = self._metrics.given_up.labels(failure).inc
                return Result(partial(queue.give_up, job=job, failure=failure, error=text), count)

    async def _commit(self, result: Result) -> bool:
        """Write a result, through a database outage as long as lease and grace last. False: not ours any more.

        Counted only when it was written: a lost lease is somebody else's to count.
        """
        now = asyncio.get_running_loop().time
        last_try = now() + self._settings.job_lease_s
        while True:
            try:
                with self._metrics.stage("settle"):
                    async with self._database.transaction() as session:
                        written = await result.write(session)
            except DatabaseUnavailable as error:
                log.warning("database away, result kept for now", error=str(error))
                if now() > min(last_try, self._last_moment):
                    return False
                await asyncio.sleep(DATABASE_PAUSE_S)
            else:
                if written:
                    result.count()
                return written

    async def _keep_leases(self) -> None:
        while True:
            await asyncio.sleep(self._settings.job_lease_s / 3)
            try:
                await self._beat()
            except Exception:
                self._metrics.loop_errors.labels("heartbeat").inc()
                log.exception("heartbeat failed", worker=self.name)

    async def _beat(self) -> None:
        """Extend the lease of every held job; drop those another worker has taken over."""
        # What is claimed while Postgres answers is not in the answer, and must not be taken for lost.
        held = {task: job for task, job in self._held.items() if not task.done()}
        if not held:
            return
        async with self._database.transaction() as session:
            ours = await queue.heartbeat(session, jobs=list(held.values()), lease_s=self._settings.job_lease_s)
        for task, job in held.items():
            if job not in ours:
                task.cancel()

    async def _let_go(self, grace_s: float) -> None:
        """Finish what is held, give back what does not finish in time; never longer than the grace time."""
        now = asyncio.get_running_loop().time()
        self._last_moment = now + grace_s
        if self._held:
            log.info("finishing held recordings", count=len(self._held), grace_s=grace_s)
            await asyncio.wait(self._held, timeout=grace_s * (1 - GIVING_BACK_SHARE))
        if left := list(self._held):
            for task in left:
                task.cancel()
            await asyncio.wait(left, timeout=max(0.5, grace_s * GIVING_BACK_SHARE))
