"""Attempts to deliver events, and the delay before the next attempt."""

import random
from functools import partial

from amd_service.domain import DeliveryJob
from amd_service.errors import AmdError, DeliveryFailed, DeliveryRefused
from amd_service.operations.deliver.outgoing import DeliveryQueue
from amd_service.operations.deliver.sender import Sender
from amd_service.telemetry import Metrics, get_logger
from amd_service.tracing.spans import Traces
from amd_service.worker.attempt import Attempts, Result

log = get_logger(__name__)

# Delay in seconds after the first failure. It doubles with each further failure, up to the second value.
FIRST_DELAY_S = 5.0
LONGEST_DELAY_S = 3600.0


def delay_s(attempts: int) -> float:
    """Return the seconds before the next attempt after `attempts` failures.

    A random part of up to a quarter is subtracted, so that events which failed together are not sent together.
    """
    longest = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(attempts - 1, 32))
    return longest * random.uniform(0.75, 1.0)  # noqa: S311 - spreads load, guards nothing


class DeliveryAttempts(Attempts[DeliveryJob]):
    """Attempts to deliver events to one URL."""

    stage = "settle_delivery"

    def __init__(self, queue: DeliveryQueue, sender: Sender, metrics: Metrics, *, traces: Traces | None = None) -> None:
        super().__init__(metrics)
        self._traces = traces or Traces()
        self._queue = queue
        self._sender = sender

    async def work(self, job: DeliveryJob) -> Result:
        """Send an event."""
        span = self._traces.span("deliver event", "client", parent=job.traceparent, call_sid=job.call_sid)
        with self._metrics.stage("deliver"), span:
            status = await self._sender.send(job)
        log.info("event delivered", status=status)
        return Result(partial(self._queue.settle, job, status), self._metrics.deliveries.labels("delivered").inc)

    async def release(self, job: DeliveryJob) -> bool:
        """Make an interrupted job due again. Returns False if the lease was lost."""
        return await self._queue.release(job)

    def failed(self, error: Exception, job: DeliveryJob) -> Result:
        """Return a retry, or giving up after three days or 410."""
        text = str(error) if isinstance(error, AmdError) else f"{type(error).__name__}: {error}"
        status = error.status if isinstance(error, DeliveryFailed | DeliveryRefused) else None
        asked_s = error.retry_after_s if isinstance(error, DeliveryFailed) else None
        wait_s = max(asked_s or 0.0, delay_s(job.attempts))
        is_bug = not isinstance(error, AmdError)
        if isinstance(error, DeliveryRefused) or wait_s > job.left_s:
            reason = text if isinstance(error, DeliveryRefused) else f"no success in three days, at last: {text}"
            log.error("event given up", reason=reason, exc_info=is_bug)
            write = partial(self._queue.give_up, job, error=reason, status=status)
            return Result(write, self._metrics.deliveries.labels("dead").inc)
        log.warning("event not delivered, retrying", error=text, in_s=round(wait_s, 1), exc_info=is_bug)
        write = partial(self._queue.retry_later, job, delay_s=wait_s, error=text, status=status)
        return Result(write, self._metrics.deliveries.labels("failed").inc)
