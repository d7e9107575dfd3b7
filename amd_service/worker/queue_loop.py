"""The loop of a queue: claims jobs, works on several at once, and finishes or releases them at shutdown."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Generic, Protocol

from amd_service.errors import DatabaseUnavailable
from amd_service.telemetry import Metrics, get_logger
from amd_service.worker.attempt import DATABASE_PAUSE_S, Attempts, J

log = get_logger(__name__)

# Minimum sleep in seconds while a job is due but another transaction has locked its row.
LEAST_SLEEP_S = 0.2
# Maximum number of results that wait for a lock outside the slots. Each of them uses a connection of the pool for some
# seconds, so more of them could delay callbacks.
MOST_LOCKED = 8
# Minimum number of seconds for releasing jobs at a shutdown.
LEAST_RELEASE_S = 0.5


class Queue(Protocol[J]):
    """A queue in Postgres. All methods raise DatabaseUnavailable. `worker`: name of the worker that claims."""

    @property
    def worker(self) -> str: ...
    @property
    def lease_s(self) -> float: ...
    def wake_on_enqueue(self, wake: asyncio.Event, metrics: Metrics) -> AbstractAsyncContextManager[object]: ...
    async def claim(self, limit: int) -> list[J]: ...
    async def seconds_until_due(self) -> float | None: ...
    async def heartbeat(self, jobs: Sequence[J]) -> frozenset[J]: ...


class Worker(Generic[J]):
    """Processes a queue until `stop()`.

    `attempts` does the work of a job. `is_ready`: whether it can work now. While `is_ready` returns False, nothing is
    claimed, so jobs stay queued and use up no attempts. `concurrency`: maximum number of jobs that are claimed at once.
    `poll_s`: maximum sleep in seconds without a notification. `after_claim`: called when the claimed jobs have started,
    with the jobs and the limit of the claim. Returns the number of jobs that were given up, by the reason.
    """

    def __init__(
        self,
        *,
        queue: Queue[J],
        attempts: Attempts[J],
        is_ready: Callable[[], bool] = lambda: True,
        concurrency: int,
        poll_s: float,
        metrics: Metrics,
        after_claim: Callable[[Sequence[J], int], Awaitable[Mapping[str, int]]] | None = None,
    ) -> None:
        self._queue = queue
        self._attempts = attempts
        attempts.on_locked = self.wake
        self._is_ready = is_ready
        self._concurrency = concurrency
        self._poll_s = poll_s
        self._metrics = metrics
        self._after_claim = after_claim
        self._held: dict[asyncio.Task[None], J] = {}
        self._wake = asyncio.Event()
        self._stopping = False

    def stop(self) -> None:
        """Claim no further job. `run` then finishes or releases every held job and returns."""
        self._stopping = True
        self._wake.set()

    def wake(self) -> None:
        """Check the queue immediately, for example because the classifier became ready."""
        self._wake.set()

    async def run(self, *, finish_s: float, release_s: float) -> None:
        """Process the queue until `stop()`.

        Then finish held jobs for up to `finish_s` seconds, and release the others.
        """
        log.info("worker started", worker=self._queue.worker, at_once=self._concurrency)
        heartbeat = asyncio.create_task(self._keep_leases())
        try:
            async with self._queue.wake_on_enqueue(self._wake, self._metrics):
                while not self._stopping:
                    await self._sleep(await self._start_due_jobs())
        finally:
            await self._drain_held(finish_s, max(LEAST_RELEASE_S, release_s))
            heartbeat.cancel()
            log.info("worker stopped", worker=self._queue.worker)

    async def drain(self) -> int:
        """Process the queue until no job is due.

        Returns the number of attempts. Only tests and one-off runs use this method.
        """
        made, may_find_more = 0, True
        while may_find_more:
            started, may_find_more = await self._claim()
            await asyncio.gather(*started)
            made += len(started)
        return made

    async def _start_due_jobs(self) -> float:
        """Claim and start jobs while slots are free. Returns the number of seconds to sleep."""
        self._wake.clear()
        try:
            if not self._is_ready():
                return self._poll_s
            may_find_more = True
            while may_find_more:
                _, may_find_more = await self._claim()
            due_s = await self._queue.seconds_until_due()
        except DatabaseUnavailable as error:
            self._metrics.loop_errors.labels("claim").inc()
            log.warning("claim failed, retrying", error=str(error))
            return DATABASE_PAUSE_S
        except Exception:
            # An unexpected error must not end the loop. The error is counted and logged, and the loop pauses before it
            # claims again.
            self._metrics.loop_errors.labels("claim").inc()
            log.exception("claim failed", worker=self._queue.worker)
            return DATABASE_PAUSE_S
        if due_s is None or self._busy() >= self._concurrency:
            return self._poll_s
        # A job can be due now although the last claim did not return it: another transaction has locked its row.
        return min(self._poll_s, max(LEAST_SLEEP_S, due_s))

    async def _sleep(self, seconds: float) -> None:
        if self._stopping:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _claim(self) -> tuple[list[asyncio.Task[None]], bool]:
        """Claim a job for each free slot and start the attempts.

        Returns the attempts, and whether another claim may find more jobs.
        """
        free = self._concurrency - self._busy()
        if free <= 0 or self._stopping:
            return [], False
        jobs = await self._queue.claim(free)
        started = [self._start(job) for job in jobs]
        given_up = {} if self._after_claim is None else await self._after_claim(jobs, free)
        for failure, count in given_up.items():
            self._metrics.given_up.labels(failure).inc(count)
        return started, bool(jobs or given_up)

    def _start(self, job: J) -> asyncio.Task[None]:
        task = asyncio.create_task(self._attempts.make(job))
        self._held[task] = job
        task.add_done_callback(self._on_done)
        return task

    def _busy(self) -> int:
        """Number of slots in use. A result that waits for a lock uses none, unless there are too many of them."""
        return len(self._held) - min(len(self._attempts.locked), MOST_LOCKED)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        job = self._held.pop(task, None)
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._metrics.loop_errors.labels("settle").inc()
            # After the lease has expired, another worker claims the job.
            log.error("result not stored, lease will expire", exc_info=error, **(job.log_fields if job else {}))

    async def _keep_leases(self) -> None:
        while True:
            await asyncio.sleep(self._queue.lease_s / 3)
            try:
                await self._send_heartbeat()
            except Exception:
                self._metrics.loop_errors.labels("heartbeat").inc()
                log.exception("heartbeat failed", worker=self._queue.worker)

    async def _send_heartbeat(self) -> None:
        """Extend the lease of every held job. Cancel attempts whose job another worker has claimed."""
        # The copy is needed because a job can be claimed during the query. Such a job is missing in the
        # result of the query, but its lease is not lost.
        held = {task: job for task, job in self._held.items() if not task.done()}
        if not held:
            return
        ours = await self._queue.heartbeat(list(held.values()))
        for task, job in held.items():
            if job not in ours:
                task.cancel()

    async def _drain_held(self, finish_s: float, release_s: float) -> None:
        """Wait up to `finish_s` seconds for running attempts. Then release the unfinished jobs."""
        self._attempts.deadline = asyncio.get_running_loop().time() + finish_s + release_s
        if self._held:
            log.info("finishing held jobs", count=len(self._held), within_s=finish_s)
            await asyncio.wait(self._held, timeout=finish_s)
        if unfinished := list(self._held):
            for task in unfinished:
                task.cancel()
            await asyncio.wait(unfinished, timeout=release_s)
