"""Builds, opens and closes the workers of a process: one for recordings, and one for each URL of a backend."""

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx2

from amd_service.database.pool import Database
from amd_service.detection.detector import Detector
from amd_service.domain import AnnotationJob, DeliveryJob, Job
from amd_service.errors import ConfigurationError, DatabaseUnavailable
from amd_service.operations.annotate import AnnotationQueue
from amd_service.operations.deliver.outgoing import DeliveryQueue
from amd_service.operations.deliver.sender import Sender, open_sender
from amd_service.operations.deliver.targets import find_bad_targets
from amd_service.operations.fold_callbacks import FOLD_EVERY_S, FOLD_PAUSE_S, Folder
from amd_service.operations.judge_recording import RecordingJudge
from amd_service.operations.recording_queue import RecordingQueue
from amd_service.settings import Settings
from amd_service.telemetry import Metrics, get_logger
from amd_service.tracing.spans import Traces
from amd_service.twilio.recordings import Recordings
from amd_service.twilio.rest import RestClient
from amd_service.worker.annotating import AnnotationAttempts
from amd_service.worker.delivering import DeliveryAttempts
from amd_service.worker.judging import Judge, RecordingAttempts
from amd_service.worker.periodic import PeriodicTask, run_periodically
from amd_service.worker.queue_loop import Worker
from amd_service.worker.retry import RetryPolicy
from amd_service.worker.shadow import ShadowRuns

log = get_logger(__name__)

# Fewest seconds for the last fold of a process.
_LEAST_FOLD_S = 0.05


def worker_name() -> str:
    """Return a unique name: host name, process id and a random number."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"


def build_worker(
    settings: Settings,
    database: Database,
    judge: Judge,
    metrics: Metrics,
    *,
    is_ready: Callable[[], bool],
    shadow: ShadowRuns | None = None,
    make_queue: Callable[..., RecordingQueue] = RecordingQueue,
) -> Worker[Job]:
    """Build a worker of the queue."""
    queue = make_queue(
        database,
        worker=worker_name(),
        lease_s=settings.job_lease_s,
        max_attempts=settings.job_max_attempts,
        actions=settings.actions,
        metrics=metrics,
    )
    retries = RetryPolicy(settings.job_max_attempts, settings.job_retry_base_s, settings.job_outage_s)
    return Worker(
        queue=queue,
        attempts=RecordingAttempts(queue, judge, retries, metrics, shadow),
        is_ready=is_ready,
        concurrency=settings.recordings_at_once,
        poll_s=settings.poll_s,
        metrics=metrics,
        after_claim=queue.after_claim,
    )


def build_recording_worker(
    settings: Settings,
    database: Database,
    client: httpx2.AsyncClient,
    detector: Detector,
    metrics: Metrics,
    traces: Traces,
    shadow: ShadowRuns | None,
) -> Worker[Job]:
    """Build a worker that downloads recordings with `client` and judges them with `detector`."""
    judge = RecordingJudge(
        settings.accounts,
        Recordings(client, settings),
        detector,
        metrics,
        traces,
        judgements_at_once=settings.worker_concurrency,
        keep_audio=None if shadow is None else shadow.keep,
    )
    return build_worker(settings, database, judge.judge, metrics, is_ready=lambda: detector.is_ready, shadow=shadow)


def build_delivery_worker(
    settings: Settings, database: Database, sender: Sender, metrics: Metrics, *, url: str, traces: Traces | None = None
) -> Worker[DeliveryJob]:
    """Build the worker for one URL."""
    queue = DeliveryQueue(database, url=url, worker=worker_name(), lease_s=settings.job_lease_s)
    return Worker(
        queue=queue,
        attempts=DeliveryAttempts(queue, sender, metrics, traces=traces),
        concurrency=settings.delivery_at_once,
        poll_s=settings.poll_s,
        metrics=metrics,
    )


def build_annotation_worker(
    settings: Settings, database: Database, rest: RestClient, metrics: Metrics
) -> Worker[AnnotationJob]:
    """Build the worker that writes reviews to Twilio. It sends one request at a time: reviews are rare."""
    queue = AnnotationQueue(database, worker=worker_name(), lease_s=settings.job_lease_s)
    attempts = AnnotationAttempts(queue, rest, settings.accounts, metrics)
    return Worker(queue=queue, attempts=attempts, concurrency=1, poll_s=settings.poll_s, metrics=metrics)


@asynccontextmanager
async def run_folder(settings: Settings, database: Database, metrics: Metrics) -> AsyncIterator[Folder]:
    """Fold stored callbacks until the context ends.

    Every process folds, so that a process that was killed leaves no callback behind.
    """
    folder = Folder(database, metrics)
    task = PeriodicTask("folding", FOLD_EVERY_S, folder.fold_waiting, folder.wake, FOLD_PAUSE_S)
    grace_s, time = settings.shutdown_budget.fold_s, asyncio.get_running_loop().time
    async with run_periodically([task], metrics, grace_s=grace_s):
        yield folder
        ends_at = time() + grace_s
    if ends_at - time() < _LEAST_FOLD_S:  # a transaction that is cut off costs a connection and folds nothing
        return
    # Callbacks of the last requests may have been stored after the last run.
    try:
        async with asyncio.timeout_at(ends_at):
            await folder.fold_waiting()
    except (TimeoutError, DatabaseUnavailable) as error:
        log.warning("last callbacks not folded, the next process folds them", error=str(error) or "no time left")


@asynccontextmanager
async def run_deliveries(
    settings: Settings, database: Database, metrics: Metrics, traces: Traces | None = None
) -> AsyncIterator[None]:
    """Deliver events until the context ends.

    Each URL has its own worker and its own connections, so that a backend that hangs does not delay the others.
    """
    async with AsyncExitStack() as stack:
        workers = []
        for url in settings.delivery_url:
            sender = await stack.enter_async_context(open_sender(settings))
            workers.append(build_delivery_worker(settings, database, sender, metrics, url=url, traces=traces))
        async with _running(workers, settings):
            yield


@asynccontextmanager
async def run_annotations(
    settings: Settings, database: Database, rest: RestClient, metrics: Metrics
) -> AsyncIterator[None]:
    """Write reviews to Twilio until the context ends, if the settings say so."""
    workers = [build_annotation_worker(settings, database, rest, metrics)] if settings.annotate_calls else []
    async with _running(workers, settings):
        yield


@asynccontextmanager
async def _running(workers: Sequence[Worker[Any]], settings: Settings) -> AsyncIterator[None]:
    budget = settings.shutdown_budget
    finish_s, release_s = budget.finish_deliveries_s, budget.release_deliveries_s
    running = [asyncio.create_task(each.run(finish_s=finish_s, release_s=release_s)) for each in workers]
    try:
        yield
    finally:
        for each in workers:
            each.stop()
        await asyncio.gather(*running)


async def check_backends(settings: Settings) -> None:
    """Raise ConfigurationError if the host of a backend is at an address that is not allowed.

    A host that cannot be resolved is logged only, because the name server may answer later.
    """
    bad = await find_bad_targets(settings.delivery_url, settings.delivery_allowed_networks)
    if bad.refused:
        raise ConfigurationError("\n".join(f"AMD_DELIVERY_URL: {reason}" for reason in bad.refused))
    for reason in bad.unresolved:
        log.warning("backend cannot be resolved", error=reason)


@asynccontextmanager
async def run_worker(worker: Worker[Job], detector: Detector, settings: Settings) -> AsyncIterator[None]:
    """Judge recordings until the context ends."""

    async def wake_when_ready() -> None:
        await detector.wait_ready()
        judgements = settings.worker_concurrency or detector.windows_at_once
        log.info("classifier ready, worker claims recordings", judgements_at_once=judgements)
        worker.wake()

    budget = settings.shutdown_budget
    running = asyncio.create_task(
        worker.run(finish_s=budget.finish_recordings_s, release_s=budget.release_recordings_s)
    )
    waking = asyncio.create_task(wake_when_ready())
    try:
        yield
    finally:
        waking.cancel()
        worker.stop()
        await running
