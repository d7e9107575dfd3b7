"""Opens and closes what a process needs. The only wiring; knows no web."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass

from amd_service.calls import queue
from amd_service.calls.number_policy import NumberPolicy
from amd_service.database.dashboard_role import create_dashboard_role
from amd_service.database.embedded import embedded_postgres
from amd_service.database.pool import Database
from amd_service.database.schema import SchemaState, migrate
from amd_service.detection.detector import Detector
from amd_service.domain import Failure
from amd_service.errors import ConfigurationError, DatabaseUnavailable
from amd_service.operations.act_on_verdict import LOOK_EVERY_S, REFUSE_EVERY_S, ActionRunner, acting
from amd_service.operations.dial_policy import DialPolicy
from amd_service.operations.judge_recording import Pipeline
from amd_service.operations.place_call import CallPlacer
from amd_service.operations.reconcile import Reconciliation
from amd_service.operations.retention import ERASE_EVERY_S, FORGET_EVERY_S, Retention
from amd_service.settings import Settings
from amd_service.telemetry import Metrics, get_logger
from amd_service.twilio.recordings import Recordings, http_client
from amd_service.twilio.rest import RestClient
from amd_service.worker.periodic import PeriodicTask, doing
from amd_service.worker.queue_loop import Worker

log = get_logger(__name__)

# Before it, requests that are still open have theirs (web/server.py); after it the window in hand
# (detection/classifier/inference.py). A tenth is left for closing.
WORKER_SHARE_OF_GRACE = 0.5
# Twilio's answer to a request usually takes a tenth of a second; taking actions up has this as well.
ACTING_SHARE_OF_GRACE = 0.05

LOOK_FOR_TURN_S = 30.0

# Recordings put up for work in one transaction: 0.1 s, which a callback of one of them may have to wait.
REQUEUE_BATCH = 50


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a running process holds. `worker` is None where `--no-worker` was asked for. `rest`: Twilio's API."""

    settings: Settings
    metrics: Metrics
    database: Database
    detector: Detector
    rest: RestClient
    numbers: NumberPolicy
    call_placer: CallPlacer
    worker: Worker | None

    def stop_claiming(self) -> None:
        """First step of a shutdown: take no new recording."""
        if self.worker is not None:
            self.worker.stop()

    def classifier_report(self) -> dict[str, object]:
        """Phase of the classifier and, where it is not ready, why and what to do; JSON-ready."""
        return self.detector.report()


@asynccontextmanager
async def open_runtime(settings: Settings, *, with_worker: bool) -> AsyncIterator[Runtime]:
    """Everything a `serve` or `worker` process needs.

    Returns as soon as the database is there: the model loads in its own thread meanwhile, and whether it does
    never closes the webhook door. Raises ConfigurationError for a schema that is behind.
    """
    metrics = Metrics()
    _warn_of_closed_doors(settings)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(settings))
        detector = await stack.enter_async_context(Detector.from_settings(settings, metrics))
        client = await stack.enter_async_context(http_client(settings))
        rest = RestClient(client, settings, metrics=metrics)
        worker = None
        if with_worker:
            pipeline = Pipeline(settings.accounts, Recordings(client, settings), detector, metrics)
            worker = Worker(
                database=database,
                judge=pipeline.judge,
                ready=lambda: detector.ready,
                settings=settings,
                metrics=metrics,
            )
            # Entered before the worker, so ended after it: its last verdicts are acted on too.
            await stack.enter_async_context(_acting_on_verdicts(settings, database, rest, metrics))
            await stack.enter_async_context(_running(worker, detector, settings))
            unhurried = RestClient(client, settings, per_s=settings.reconcile_per_s, metrics=metrics)
            periodic_tasks = _chores(settings, database, unhurried, metrics)
            # Each of their steps may be cut off and repeated: waiting for Twilio would cost recordings their time.
            grace_s = settings.shutdown_grace_s * ACTING_SHARE_OF_GRACE
            await stack.enter_async_context(doing(periodic_tasks, metrics, grace_s=grace_s))
        yield assemble_runtime(settings, metrics, database, detector, rest, worker)


def assemble_runtime(
    settings: Settings,
    metrics: Metrics,
    database: Database,
    detector: Detector,
    rest: RestClient,
    worker: Worker | None = None,
) -> Runtime:
    """A runtime over parts that are open already."""
    numbers = NumberPolicy.from_settings(settings)
    call_placer = build_call_placer(settings, database, rest, metrics)
    return Runtime(settings, metrics, database, detector, rest, numbers, call_placer, worker)


def build_call_placer(
    settings: Settings, database: Database, rest: RestClient, metrics: Metrics, **options: float
) -> CallPlacer:
    """What places calls as the settings allow. Use one per process."""
    policy = DialPolicy(
        accounts=settings.accounts,
        prefixes=settings.dial_prefixes,
        per_minute=settings.dial_per_minute,
        has_public_url=settings.public_url is not None,
        stream_url=settings.callback_url("/twilio/stream.xml") if settings.live and settings.public_url else None,
    )
    numbers = NumberPolicy.from_settings(settings)
    return CallPlacer(database=database, rest=rest, policy=policy, numbers=numbers, metrics=metrics, **options)


@asynccontextmanager
async def open_call_placer(settings: Settings) -> AsyncIterator[tuple[CallPlacer, Database]]:
    """What a command needs to place a call and follow it: no model, no worker."""
    async with open_database(settings) as database, http_client(settings) as client:
        metrics = Metrics()
        rest = RestClient(client, settings, metrics=metrics)
        yield build_call_placer(settings, database, rest, metrics), database


def _chores(settings: Settings, database: Database, rest: RestClient, metrics: Metrics) -> list[PeriodicTask]:
    """What a worker does beside the queue. `rest`: one that takes its time."""
    retention = Retention(database=database, rest=rest, settings=settings, metrics=metrics)
    periodic_tasks = [PeriodicTask("forgetting", FORGET_EVERY_S, retention.forget)]
    if settings.delete_recordings:
        periodic_tasks.append(PeriodicTask("erasing", ERASE_EVERY_S, retention.erase))
    if settings.reconcile_every_s:
        reconciliation = Reconciliation(database=database, rest=rest, settings=settings, metrics=metrics)
        # Whose turn it is stands in the database; looking often keeps a turn from being missed by a moment.
        periodic_tasks.append(
            PeriodicTask("reconciling", min(settings.reconcile_every_s, LOOK_FOR_TURN_S), reconciliation.sweep)
        )
    return periodic_tasks


@asynccontextmanager
async def _acting_on_verdicts(
    settings: Settings, database: Database, rest: RestClient, metrics: Metrics
) -> AsyncIterator[None]:
    """Act on verdicts as long as the context lasts; where the settings want nothing done, refuse what is late."""
    actor = ActionRunner(database=database, rest=rest, settings=settings, metrics=metrics)
    grace_s = settings.shutdown_grace_s * ACTING_SHARE_OF_GRACE
    at_once = acting(actor, database, metrics, grace_s=grace_s) if settings.actions else nullcontext()
    task = PeriodicTask("acting", LOOK_EVERY_S if settings.actions else REFUSE_EVERY_S, actor.act, actor.wake)
    async with at_once, doing([task], metrics, grace_s=grace_s):
        yield


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    """The configured database with a usable schema, or an embedded one that migrates itself.

    Raises ConfigurationError where the schema is behind. A configured database that is away does not stop the
    start: the door then answers 503, which Twilio retries, and the worker waits.
    """
    async with _database_url(settings) as url:
        if settings.database_url is None:
            await migrate(url)
        database = Database(url, pool_size=settings.database_pool_size)
        try:
            await _check_schema(database)
            yield database
        finally:
            await database.dispose()


def _database_url(settings: Settings) -> AbstractAsyncContextManager[str]:
    """The URL of the configured Postgres, or of an embedded one, which runs as long as the context lasts."""
    if settings.database_url is None:
        return embedded_postgres(settings.data_dir)
    return nullcontext(settings.database_url.get_secret_value())


def _warn_of_closed_doors(settings: Settings) -> None:
    if settings.public_url is None or not settings.accounts:
        log.warning(
            "every callback will be refused until AMD_PUBLIC_URL and the Twilio credentials are set; "
            "`amd-service doctor` says more"
        )
    if settings.actions and not settings.live:
        log.warning(
            "AMD_ON_HUMAN and AMD_ON_VOICEMAIL will hardly ever act: without AMD_LIVE calls are judged by their "
            "recordings, which come after the call"
        )


async def _check_schema(database: Database) -> None:
    try:
        state = await database.schema_state()
    except DatabaseUnavailable as error:
        log.error("database away, see AMD_DATABASE_URL; waiting for it to come back", error=str(error))
        return
    if state in (SchemaState.MISSING, SchemaState.BEHIND):
        raise ConfigurationError(f"the database schema is {state}: run `amd-service migrate`, then start again")
    if state is SchemaState.NEWER:
        log.warning("the database schema is newer than this version knows; going on, an upgrade is due")


@asynccontextmanager
async def _running(worker: Worker, detector: Detector, settings: Settings) -> AsyncIterator[None]:
    task = asyncio.create_task(worker.run(grace_s=settings.shutdown_grace_s * WORKER_SHARE_OF_GRACE))
    waker = asyncio.create_task(_wake_when_ready(worker, detector))
    try:
        yield
    finally:
        waker.cancel()
        worker.stop()
        await task


async def _wake_when_ready(worker: Worker, detector: Detector) -> None:
    await detector.wait_ready()
    worker.wake()


@asynccontextmanager
async def throwaway_database() -> AsyncIterator[str]:
    """The URL of a migrated Postgres that is gone at the end."""
    async with embedded_postgres(None) as url:
        await migrate(url)
        yield url


async def migrate_database(settings: Settings, dashboard: str | None) -> None:
    """Bring the configured database's schema up to date; `dashboard` names a role that may read `call_log` alone."""
    async with _database_url(settings) as url:
        await migrate(url)
        if dashboard is not None:
            await create_dashboard_role(url, dashboard)
    log.info("schema is up to date", dashboard_role=dashboard)


async def requeue_failed(settings: Settings, reason: str | None) -> int:
    """Put recordings that ended without a verdict up for work again; how many. `reason`: only those that ended so.

    In batches: what was put up before an error, or Ctrl-C, stays so. Raises ConfigurationError for a reason there is
    none of.
    """
    try:
        failure = None if reason is None else Failure(reason)
    except ValueError as error:
        raise ConfigurationError(f"--reason must be one of {', '.join(Failure)}") from error
    total, after = 0, ""
    async with open_database(settings) as database:
        while True:
            async with database.transaction() as session:
                taken = await queue.requeue(session, failure=failure, after=after, limit=REQUEUE_BATCH)
            if not taken:
                return total
            total, after = total + len(taken), taken[-1]
