"""The queue of deliveries to one URL, for a worker. Every operation is one transaction."""

from asyncio import Event
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

from amd_service.calls import deliveries
from amd_service.database.listener import Listener
from amd_service.database.pool import Database
from amd_service.domain import DeliveryJob
from amd_service.telemetry import Metrics


class DeliveryQueue:
    """Claims deliveries to `url` for `worker` and stores the results. All methods raise DatabaseUnavailable.

    `lease_s`: seconds that a claim or heartbeat holds a delivery. `settle`, `retry_later`, `release` and `give_up`
    return False and store nothing if the lease was lost.
    """

    def __init__(self, database: Database, *, url: str, worker: str, lease_s: float) -> None:
        self._database = database
        self._url = url
        self.worker = worker
        self.lease_s = lease_s

    def wake_on_enqueue(self, wake: Event, metrics: Metrics) -> AbstractAsyncContextManager[Listener]:
        """Set `wake` whenever an event may have been written, until the context ends."""
        return self._database.wake_on_notify(wake, metrics)

    async def claim(self, limit: int) -> list[DeliveryJob]:
        """Claim up to `limit` due deliveries."""
        async with self._database.transaction() as session:
            return await deliveries.claim(session, url=self._url, worker=self.worker, limit=limit, lease_s=self.lease_s)

    async def seconds_until_due(self) -> float | None:
        """Return the seconds until a delivery is due or a lease expires, None if the queue is empty."""
        async with self._database.transaction() as session:
            return await deliveries.seconds_until_due(session, self._url)

    async def heartbeat(self, jobs: Sequence[DeliveryJob]) -> frozenset[DeliveryJob]:
        """Extend the leases of `jobs`. Returns the jobs that this worker still holds."""
        async with self._database.transaction() as session:
            return await deliveries.heartbeat(session, jobs=jobs, lease_s=self.lease_s)

    async def settle(self, job: DeliveryJob, status: int) -> bool:
        """Finish a delivery that the backend accepted."""
        async with self._database.transaction() as session:
            return await deliveries.settle(session, job, status)

    async def retry_later(self, job: DeliveryJob, *, delay_s: float, error: str, status: int | None) -> bool:
        """Send the event again in `delay_s` seconds."""
        async with self._database.transaction() as session:
            return await deliveries.retry_later(session, job, delay_s=delay_s, error=error, status=status)

    async def release(self, job: DeliveryJob) -> bool:
        """Make the delivery due again without counting the attempt."""
        async with self._database.transaction() as session:
            return await deliveries.release(session, job)

    async def give_up(self, job: DeliveryJob, *, error: str, status: int | None) -> bool:
        """End the delivery without success."""
        async with self._database.transaction() as session:
            return await deliveries.give_up(session, job, error=error, status=status)
