"""Attempts to write Call Annotations to Twilio."""

from collections.abc import Mapping
from functools import partial

from amd_service.calls.deliveries import RETRY_S
from amd_service.domain import AccountSid, AnnotationJob
from amd_service.errors import AmdError, CredentialsRefused, RequestRefused, Retryable
from amd_service.operations.annotate import AnnotationQueue, send_annotation
from amd_service.settings import Account
from amd_service.telemetry import Metrics, get_logger
from amd_service.twilio.rest import RestClient
from amd_service.twilio.rest.client import NOT_FOUND
from amd_service.worker.attempt import Attempts, Result
from amd_service.worker.delivering import delay_s

log = get_logger(__name__)

# Seconds during which "not found" is retried. Voice Insights may not know a call that has just ended.
NOT_FOUND_S = 3600.0


class AnnotationAttempts(Attempts[AnnotationJob]):
    """Attempts to write annotations."""

    stage = "settle_annotation"

    def __init__(
        self, queue: AnnotationQueue, rest: RestClient, accounts: Mapping[AccountSid, Account], metrics: Metrics
    ) -> None:
        super().__init__(metrics)
        self._queue = queue
        self._rest = rest
        self._accounts = accounts

    async def work(self, job: AnnotationJob) -> Result:
        """Write an annotation."""
        with self._metrics.stage("annotate"):
            await send_annotation(self._rest, self._accounts, job)
        log.info("call annotated at Twilio", answered_by=job.answered_by)
        return Result(partial(self._queue.settle, job), self._metrics.annotations.labels("done").inc)

    async def release(self, job: AnnotationJob) -> bool:
        """Make an interrupted job due again. Returns False if the lease was lost."""
        return await self._queue.release(job)

    def failed(self, error: Exception, job: AnnotationJob) -> Result:
        """Return a retry, or giving up after three days or a refusal."""
        text = str(error) if isinstance(error, AmdError) else f"{type(error).__name__}: {error}"
        asked_s = error.retry_after_s if isinstance(error, Retryable) else None
        wait_s = max(asked_s or 0.0, delay_s(job.attempts))
        is_bug = not isinstance(error, AmdError)
        # Refused credentials can be corrected in the settings, so they are retried.
        is_refusal = isinstance(error, RequestRefused) and not isinstance(error, CredentialsRefused)
        is_new = isinstance(error, RequestRefused) and error.code == NOT_FOUND and job.left_s > RETRY_S - NOT_FOUND_S
        if (is_refusal and not is_new) or wait_s > job.left_s:
            log.error("annotation given up", reason=text, exc_info=is_bug)
            write = partial(self._queue.give_up, job, error=text)
            return Result(write, self._metrics.annotations.labels("dead").inc)
        log.warning("call not annotated, retrying", error=text, in_s=round(wait_s, 1), exc_info=is_bug)
        write = partial(self._queue.retry_later, job, delay_s=wait_s, error=text)
        return Result(write, self._metrics.annotations.labels("failed").inc)
