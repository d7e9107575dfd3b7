"""Writes reviews to Twilio as Call Annotations: the queue for a worker, and the request."""

from asyncio import Event
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager

from amd_service.calls import annotations
from amd_service.database.listener import Listener
from amd_service.database.pool import Database
from amd_service.domain import AccountSid, AnnotationJob
from amd_service.errors import CredentialsMissing
from amd_service.settings import Account
from amd_service.telemetry import Metrics
from amd_service.twilio.rest import RestClient


async def send_annotation(rest: RestClient, accounts: Mapping[AccountSid, Account], job: AnnotationJob) -> None:
    """Write an annotation. Raises CredentialsMissing, TwilioUnavailable, RequestRefused and OutcomeUnknown."""
    account = accounts.get(job.account_sid)
    if account is None:
        raise CredentialsMissing(f"no credentials for account {job.account_sid}: add them to the settings")
    await rest.annotate_call(account, job.call_sid, job.answered_by)


class AnnotationQueue:
    """Claims annotations for `worker` and stores the results. All methods raise DatabaseUnavailable.

    `lease_s`: seconds that a claim or heartbeat holds an annotation. `settle`, `retry_later`, `release` and `give_up`
    return False and store nothing if the lease was lost.
    """

    def __init__(self, database: Database, *, worker: str, lease_s: float) -> None:
        self._database = database
        self.worker = worker
        self.lease_s = lease_s

    def wake_on_enqueue(self, wake: Event, metrics: Metrics) -> AbstractAsyncContextManager[Listener]:
        """Set `wake` whenever an annotation may have been written, until the context ends."""
        return self._database.wake_on_notify(wake, metrics)

    async def claim(self, limit: int) -> list[AnnotationJob]:
        """Claim up to `limit` due annotations."""
        async with self._database.transaction() as session:
            return await annotations.claim(session, worker=self.worker, limit=limit, lease_s=self.lease_s)

    async def seconds_until_due(self) -> float | None:
        """Return the seconds until an annotation is due or a lease expires, None if the queue is empty."""
        async with self._database.transaction() as session:
            return await annotations.seconds_until_due(session)

    async def heartbeat(self, jobs: Sequence[AnnotationJob]) -> frozenset[AnnotationJob]:
        """Extend the leases of `jobs`. Returns the jobs that this worker still holds."""
        async with self._database.transaction() as session:
            return await annotations.heartbeat(session, jobs=jobs, lease_s=self.lease_s)

    async def settle(self, job: AnnotationJob) -> bool:
        """Finish an annotation that Twilio has stored."""
        async with self._database.transaction() as session:
            return await annotations.settle(session, job)

    async def retry_later(self, job: AnnotationJob, *, delay_s: float, error: str) -> bool:
        """Send the annotation again in `delay_s` seconds."""
        async with self._database.transaction() as session:
            return await annotations.retry_later(session, job, delay_s=delay_s, error=error)

    async def release(self, job: AnnotationJob) -> bool:
        """Make the annotation due again without counting the attempt."""
        async with self._database.transaction() as session:
            return await annotations.release(session, job)

    async def give_up(self, job: AnnotationJob, *, error: str) -> bool:
        """End the annotation without success."""
        async with self._database.transaction() as session:
            return await annotations.give_up(session, job, error=error)
