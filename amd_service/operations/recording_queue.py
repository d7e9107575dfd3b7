"""The queue of recordings for a worker."""

from asyncio import Event
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager

from amd_service.calls import queue, queue_length
from amd_service.database.listener import Listener
from amd_service.database.pool import Database
from amd_service.domain import Action, Failure, Job, Label, Source, Verdict
from amd_service.errors import DatabaseUnavailable
from amd_service.telemetry import Metrics, get_logger

# Seconds to wait for a lock on the table of calls, after which claimed recordings are not shown as running.
SHORT_LOCK_S = 0.2

log = get_logger(__name__)


class RecordingQueue:
    """Claims recordings for `worker` and stores the results of attempts.

    All methods raise DatabaseUnavailable, but for `after_claim`, which logs it.

    `lease_s`: seconds that a claim or heartbeat holds a recording. `max_attempts`: the next claim gives up a recording
    that had this many attempts. `actions`: the action for each label.

    `settle`, `retry_later`, `release` and `give_up` return False and store nothing if the lease was lost.
    """

    def __init__(
        self,
        database: Database,
        *,
        worker: str,
        lease_s: float,
        max_attempts: int,
        actions: Mapping[Label, Action],
        metrics: Metrics,
    ) -> None:
        self._database = database
        self._actions = actions
        self._metrics = metrics
        self.worker = worker
        self.lease_s = lease_s
        self.max_attempts = max_attempts

    def wake_on_enqueue(self, wake: Event, metrics: Metrics) -> AbstractAsyncContextManager[Listener]:
        """Set `wake` whenever a recording may have been enqueued, until the context ends."""
        return self._database.wake_on_notify(wake, metrics)

    async def claim(self, limit: int) -> list[Job]:
        """Claim up to `limit` due recordings that have an attempt left."""
        async with self._database.transaction() as session:
            return await queue.claim(
                session, worker=self.worker, limit=limit, lease_s=self.lease_s, max_attempts=self.max_attempts
            )

    async def after_claim(self, jobs: Sequence[Job], limit: int) -> Mapping[str, int]:
        """Show the calls of claimed jobs as running, and give up up to `limit` recordings that have no attempt left.

        Returns the number of recordings by the reason for giving up. The jobs need not wait for this.
        """
        try:
            if jobs:
                async with self._database.transaction(lock_s=SHORT_LOCK_S) as session:
                    await queue.show_running(session, jobs)
            async with self._database.transaction(lock_s=SHORT_LOCK_S) as session:
                return await queue.give_up_spent(session, limit=limit, max_attempts=self.max_attempts)
        except DatabaseUnavailable as error:
            log.warning("calls of claimed recordings not updated", error=str(error))
        except Exception:
            # Without this handler, the worker would pause after every claim because of one faulty row.
            if not jobs:
                raise
            self._metrics.loop_errors.labels("claim").inc()
            log.exception("calls of claimed recordings not updated")
        return {}

    async def seconds_until_due(self) -> float | None:
        """Return the seconds until a recording is due or a lease expires.

        Returns 0 if a recording is due now, None if the queue is empty.
        """
        async with self._database.transaction() as session:
            return await queue_length.seconds_until_due(session)

    async def heartbeat(self, jobs: Sequence[Job]) -> frozenset[Job]:
        """Extend the leases of `jobs`. Returns the jobs that this worker still holds."""
        async with self._database.transaction() as session:
            return await queue.heartbeat(session, jobs=jobs, lease_s=self.lease_s)

    async def settle(self, job: Job, verdict: Verdict) -> bool:
        """Store and count the verdict, and finish the recording."""
        async with self._database.transaction() as session:
            settled = await queue.settle(session, job, verdict, self._actions)
        if settled is None:
            return False
        self._metrics.observe_verdict(
            verdict, Source.RECORDING, campaign=settled.campaign, answer_to_verdict_s=settled.answer_to_verdict_s
        )
        return True

    async def retry_later(self, job: Job, *, delay_s: float, error: str, failure: Failure) -> bool:
        """Make the recording due again in `delay_s` seconds."""
        async with self._database.transaction() as session:
            return await queue.retry_later(session, job, delay_s=delay_s, error=error, failure=failure)

    async def release(self, job: Job, *, delay_s: float = 0.0, error: str | None = None) -> bool:
        """Make the recording due again without counting the attempt."""
        async with self._database.transaction() as session:
            return await queue.release(session, job, delay_s=delay_s, error=error)

    async def give_up(self, job: Job, failure: Failure, error: str) -> bool:
        """End the recording without a verdict."""
        async with self._database.transaction() as session:
            return await queue.give_up(session, job, failure, error)
