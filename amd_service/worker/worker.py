"""claim → judge → settle, as many at a time as configured; drains on shutdown."""

import asyncio
import os
import secrets
import socket
from collections.abc import Awaitable, Callable
from functools import partial

from sqlalchemy.ext.asyncio import AsyncSession
from structlog.contextvars import bound_contextvars

from amd_service.calls import queue
from amd_service.calls.database import Database
from amd_service.domain import Job, Label, Verdict
from amd_service.errors import AmdError, DatabaseUnavailable
from amd_service.settings import Settings
from amd_service.telemetry import Metrics, get_logger
from amd_service.worker.retry import GiveBack, GiveUp, NextStep, RetryLater, next_step

log = get_logger(__name__)

Judge = Callable[[Job], Awaitable[Verdict]]
Write = Callable[[AsyncSession], Awaitable[bool]]

DATABASE_PAUSE_S = 1.0


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
            async with queue.listen(self._database.url, self._wake, self._metrics):
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
        return self._settings.poll_s if due_s is None or not free else min(self._settings.poll_s, max(0.0, due_s))

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
        self._metrics.buried.inc(claimed.buried)
        for job in claimed.jobs:
            self._start(job)
        return bool(claimed.jobs) or claimed.buried > 0

    def _start(self, job: Job) -> None:
        task = asyncio.create_task(self._work(job))
        self._held[task] = job
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._held.pop(task, None)
        self._wake.set()

    async def _work(self, job: Job) -> None:
        with bound_contextvars(call_sid=job.call_sid, recording_sid=job.recording_sid, attempt=job.attempts):
            try:
                write = await self._attempt(job)
            except asyncio.CancelledError:
                await self._commit(partial(queue.give_back, job=job))
                raise
            if not await self._commit(write):
                log.warning("lease lost before the result was written; whoever took over writes it")

    async def _attempt(self, job: Job) -> Write:
        try:
            verdict = await self._judge(job)
        except Exception as error:  # noqa: BLE001 - the one place where every failure becomes a row
            return self._after(error, job)
        self._metrics.verdicts.labels(verdict.label, verdict.reason).inc()
        log.info("judged", label=verdict.label, confidence=verdict.confidence, reason=verdict.reason)
        if verdict.label is Label.UNDECIDED:
            log.debug("undecided", runs=len(verdict.runs))
        return partial(queue.settle, job=job, verdict=verdict)

    def _after(self, error: Exception, job: Job) -> Write:
        settings = self._settings
        step = next_step(
            error, attempts=job.attempts, max_attempts=settings.job_max_attempts, base_s=settings.job_retry_base_s
        )
        text = f"{type(error).__name__}: {error}"
        log.warning("attempt failed", error=text, next=repr(step), exc_info=not isinstance(error, AmdError))
        return self._write_step(step, job, text)

    def _write_step(self, step: NextStep, job: Job, text: str) -> Write:
        match step:
            case GiveBack(delay_s):
                return partial(queue.give_back, job=job, delay_s=delay_s)
            case RetryLater(delay_s, failure):
                self._metrics.retries.labels(text.partition(":")[0]).inc()
                return partial(queue.retry_later, job=job, delay_s=delay_s, error=text, failure=failure)
            case GiveUp(failure):
                self._metrics.failures.labels(failure).inc()
                return partial(queue.bury, job=job, failure=failure, error=text)

    async def _commit(self, write: Write) -> bool:
        """Write a result, through a database outage as long as the lease lasts. False: not ours any more."""
        deadline = asyncio.get_running_loop().time() + self._settings.job_lease_s
        while True:
            try:
                with self._metrics.stage("settle"):
                    async with self._database.transaction() as session:
                        return await write(session)
            except DatabaseUnavailable as error:
                log.warning("database away, result kept for now", error=str(error))
                if asyncio.get_running_loop().time() > deadline:
                    return False
                await asyncio.sleep(DATABASE_PAUSE_S)

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
        if not self._held:
            return
        async with self._database.transaction() as session:
            ours = await queue.heartbeat(
                session, worker=self.name, jobs=list(self._held.values()), lease_s=self._settings.job_lease_s
            )
        for task, job in list(self._held.items()):
            if job.recording_sid not in ours:
                task.cancel()

    async def _let_go(self, grace_s: float) -> None:
        """Finish what is held, give back what does not finish in time."""
        if self._held:
            log.info("finishing held recordings", count=len(self._held), grace_s=grace_s)
            await asyncio.wait(self._held, timeout=grace_s)
        for task in (left := list(self._held)):
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
