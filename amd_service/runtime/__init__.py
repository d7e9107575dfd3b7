"""Builds, opens and closes the parts of a process. Only this module turns settings into the parts' arguments."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx2

from amd_service.calls.call_filter import FilterRules
from amd_service.calls.number_policy import NumberPolicy
from amd_service.calls.review_sample import SamplingPlan
from amd_service.calls.strata import LowConfidence
from amd_service.database.opening import open_database
from amd_service.database.pool import Database
from amd_service.detection.detector import Detector
from amd_service.domain import Job
from amd_service.operations.act_on_verdict import LOOK_EVERY_S, REFUSE_EVERY_S, ActionRunner, run_actions
from amd_service.operations.deliver import removed_urls
from amd_service.operations.dial_policy import DialPolicy
from amd_service.operations.fold_callbacks import Folder
from amd_service.operations.judge_stream import StreamJudge
from amd_service.operations.place_call import CallPlacer
from amd_service.operations.receive_callback import Inbox
from amd_service.operations.reconcile import Reconciliation
from amd_service.operations.retention import ERASE_EVERY_S, FORGET_EVERY_S, Retention
from amd_service.runtime.shadow import run_shadow
from amd_service.runtime.workers import (
    build_recording_worker,
    check_backends,
    run_annotations,
    run_deliveries,
    run_folder,
    run_worker,
)
from amd_service.settings import Settings
from amd_service.telemetry import Metrics, get_logger
from amd_service.tracing.spans import Traces, open_traces
from amd_service.twilio.recordings import Recordings, http_client
from amd_service.twilio.rest import RestClient, Sleep
from amd_service.worker.periodic import PeriodicTask, run_periodically
from amd_service.worker.queue_loop import Worker
from amd_service.worker.shadow import ShadowRuns

log = get_logger(__name__)

# Maximum seconds between two checks whether an account is due for reconciliation, at the time that is in the database.
LOOK_FOR_SWEEP_S = 30.0


@dataclass(frozen=True, slots=True)
class Runtime:
    """The open parts of a process. `worker` is None with `--no-worker`. `rest`: the client of Twilio's API.

    `recordings`: downloads for people who listen to recordings. `rules`, `plan`: with the thresholds that are known
    when the process starts. Those of a model that is downloaded later count after the next start.
    """

    settings: Settings
    metrics: Metrics
    database: Database
    detector: Detector
    rest: RestClient
    recordings: Recordings
    numbers: NumberPolicy
    inbox: Inbox
    folder: Folder
    call_placer: CallPlacer
    traces: Traces
    rules: FilterRules
    plan: SamplingPlan
    worker: Worker[Job] | None
    shadow: ShadowRuns | None = None

    def stop_claiming(self) -> None:
        """Claim no further recording. This is the first step of a shutdown."""
        if self.shadow is not None:
            self.shadow.stop()
        if self.worker is not None:
            self.worker.stop()

    def classifier_report(self) -> dict[str, object]:
        """Return the phase of the classifier for a JSON response.

        If the classifier is not ready, the response also contains the reason and the cure.
        """
        return self.detector.report()

    def build_stream_judge(self, *, verdict_s: float) -> StreamJudge:
        """Build the judge of live streams. `verdict_s`: time limit for one model run, in seconds."""
        return StreamJudge(self.detector, self.database, self.settings.actions, self.metrics, verdict_s)


@asynccontextmanager
async def open_runtime(settings: Settings, *, with_worker: bool, with_model: bool = True) -> AsyncIterator[Runtime]:
    """Open the parts of a `serve` or `worker` process.

    The context begins as soon as the database is open; the model loads in another thread. Webhooks are accepted even if
    the model cannot be loaded. Without `with_model`, the process only stores callbacks and serves rows. Raises
    ConfigurationError if migrations are missing in the database, or if a worker may not deliver to AMD_DELIVERY_URL.
    """
    if with_worker:
        await check_backends(settings)
    metrics = Metrics(settings.campaign_metrics)
    if settings.public_url is None or not settings.accounts:
        cure = "set AMD_PUBLIC_URL and the Twilio credentials, and run `amd-service doctor` for details"
        log.warning("every callback will be refused", cure=cure)
    async with AsyncExitStack() as stack:
        traces = await stack.enter_async_context(open_traces(settings.otlp_endpoint))
        # Without a worker, this process sends requests to Twilio to place calls, and to fetch recordings for people.
        opening = http_client(settings, is_used=with_worker or bool(settings.accounts))
        client = await stack.enter_async_context(opening)
        database = await stack.enter_async_context(open_database(settings, metrics, with_worker=with_worker))
        folder = await stack.enter_async_context(run_folder(settings, database, metrics))
        detector = Detector.from_settings(settings, metrics)
        if with_model:
            await stack.enter_async_context(detector)
        else:
            metrics.registry.unregister(metrics.classifier_ready)  # an alert on 0 must not fire for this process
        rest = RestClient(client, settings, metrics=metrics)
        numbers = NumberPolicy.from_settings(settings)
        worker, shadow = None, None
        if with_worker:
            shadow = await stack.enter_async_context(run_shadow(settings, database, detector, metrics))
            worker = build_recording_worker(settings, database, client, detector, metrics, traces, shadow)
            # This context is entered before the worker's context, so this context ends after the worker. The action
            # runner therefore also runs the actions of the worker's last verdicts.
            await stack.enter_async_context(_run_actions(settings, database, rest, metrics))
            await stack.enter_async_context(run_worker(worker, detector, settings))
            await stack.enter_async_context(_run_periodic_tasks(settings, database, client, numbers, metrics))
            await stack.enter_async_context(run_annotations(settings, database, rest, metrics))
            await stack.enter_async_context(run_deliveries(settings, database, metrics, traces))
        heard = Recordings(client, settings)
        parts = (settings, metrics, database, detector, rest, heard, numbers, traces, worker, shadow, folder)
        yield assemble_runtime(*parts)


def assemble_runtime(
    settings: Settings,
    metrics: Metrics,
    database: Database,
    detector: Detector,
    rest: RestClient,
    recordings: Recordings,
    numbers: NumberPolicy,
    traces: Traces,
    worker: Worker[Job] | None = None,
    shadow: ShadowRuns | None = None,
    folder: Folder | None = None,
) -> Runtime:
    """Build a runtime from parts that are already open. `folder`: a running one; None if nobody else folds."""
    folder = folder or Folder(database, metrics)
    call_placer = build_call_placer(settings, database, rest, numbers, metrics)
    policy = detector.policy
    low = LowConfidence.above(human=policy.min_confidence_human, voicemail=policy.min_confidence_voicemail)
    return Runtime(
        settings=settings,
        metrics=metrics,
        database=database,
        detector=detector,
        rest=rest,
        recordings=recordings,
        numbers=numbers,
        inbox=Inbox(database, numbers, metrics, folder.wake),
        folder=folder,
        call_placer=call_placer,
        traces=traces,
        rules=FilterRules(numbers, low),
        plan=SamplingPlan.from_settings(settings, low),
        worker=worker,
        shadow=shadow,
    )


def build_call_placer(
    settings: Settings,
    database: Database,
    rest: RestClient,
    numbers: NumberPolicy,
    metrics: Metrics,
    **options: Any,
) -> CallPlacer:
    """Build the call placer that the settings describe. Use one call placer per process."""
    policy = build_dial_policy(settings)
    return CallPlacer(database=database, rest=rest, policy=policy, numbers=numbers, metrics=metrics, **options)


def build_dial_policy(settings: Settings) -> DialPolicy:
    """Build the rules for placing calls from the settings."""
    return DialPolicy(
        accounts=settings.accounts,
        prefixes=settings.dial_prefixes,
        per_minute=settings.dial_per_minute,
        has_public_url=settings.public_url is not None,
        stream_url=settings.callback_url("/twilio/stream.xml") if settings.live and settings.public_url else None,
    )


@asynccontextmanager
async def open_call_placer(settings: Settings) -> AsyncIterator[tuple[CallPlacer, Database]]:
    """Open the parts that a command needs to place and follow a call. They include no model and no worker."""
    metrics = Metrics(settings.campaign_metrics)
    async with http_client(settings) as client, open_database(settings, metrics) as database:
        rest = RestClient(client, settings, metrics=metrics)
        yield build_call_placer(settings, database, rest, NumberPolicy.from_settings(settings), metrics), database


@asynccontextmanager
async def open_reconciliation(settings: Settings, *, sleep: Sleep = asyncio.sleep) -> AsyncIterator[Reconciliation]:
    """Open reconciliation for a command. Its client repeats a request that Twilio answered with 429."""
    metrics = Metrics(settings.campaign_metrics)
    async with http_client(settings) as client, open_database(settings, metrics) as database:
        per_s = settings.reconcile_per_s
        rest = RestClient(client, settings, per_s=per_s, retry_rate_limits=True, metrics=metrics, sleep=sleep)
        yield build_reconciliation(settings, database, rest, NumberPolicy.from_settings(settings), metrics)


def build_action_runner(
    settings: Settings, database: Database, rest: RestClient, metrics: Metrics, **options: Any
) -> ActionRunner:
    """Build the runner of the actions that the settings contain."""
    return ActionRunner(
        database=database, rest=rest, accounts=settings.accounts, wanted=settings.actions, metrics=metrics, **options
    )


def build_retention(
    settings: Settings, database: Database, rest: RestClient, numbers: NumberPolicy, metrics: Metrics, **options: Any
) -> Retention:
    """Build the deletion of data that the settings do not allow to keep. `rest`: a client with a rate limit."""
    return Retention(
        database=database,
        rest=rest,
        accounts=settings.accounts,
        numbers=numbers,
        callback_days=settings.callback_days,
        delivery_days=settings.delivery_days,
        metrics=metrics,
        **options,
    )


def build_reconciliation(
    settings: Settings, database: Database, rest: RestClient, numbers: NumberPolicy, metrics: Metrics
) -> Reconciliation:
    """Build the reconciliation of the configured accounts. `rest`: a client with a rate limit."""
    return Reconciliation(
        database=database,
        rest=rest,
        accounts=settings.accounts,
        numbers=numbers,
        every_s=settings.reconcile_every_s,
        quiet_s=settings.reconcile_after_s,
        metrics=metrics,
    )


@asynccontextmanager
async def _run_periodic_tasks(
    settings: Settings, database: Database, client: httpx2.AsyncClient, numbers: NumberPolicy, metrics: Metrics
) -> AsyncIterator[None]:
    """Run retention and reconciliation, and give up events for removed URLs.

    Retention and reconciliation share the limit of AMD_RECONCILE_PER_S requests per second to Twilio.
    """
    rest = RestClient(client, settings, per_s=settings.reconcile_per_s, metrics=metrics)
    retention = build_retention(settings, database, rest, numbers, metrics)
    tasks = [PeriodicTask("forgetting", FORGET_EVERY_S, retention.forget)]
    give_up = partial(removed_urls.give_up_unclaimed, database, settings.delivery_url, metrics)
    tasks.append(PeriodicTask("giving up events", removed_urls.LOOK_EVERY_S, give_up))
    if settings.delete_recordings:
        tasks.append(PeriodicTask("erasing", ERASE_EVERY_S, retention.erase))
    if settings.reconcile_every_s:
        reconciliation = build_reconciliation(settings, database, rest, numbers, metrics)
        every_s = min(settings.reconcile_every_s, LOOK_FOR_SWEEP_S)
        tasks.append(PeriodicTask("reconciling", every_s, reconciliation.sweep_due_accounts))
    async with run_periodically(tasks, metrics, grace_s=settings.shutdown_budget.periodic_tasks_s):
        yield


@asynccontextmanager
async def _run_actions(
    settings: Settings, database: Database, rest: RestClient, metrics: Metrics
) -> AsyncIterator[None]:
    """Run actions until the context ends. If the settings contain no action, only refuse actions that are too late."""
    runner = build_action_runner(settings, database, rest, metrics)
    budget = settings.shutdown_budget
    at_once = (
        run_actions(runner, database, start_s=budget.start_actions_s, wait_s=budget.await_actions_s)
        if settings.actions
        else nullcontext()
    )
    task = PeriodicTask("acting", LOOK_EVERY_S if settings.actions else REFUSE_EVERY_S, runner.start_due, runner.wake)
    async with at_once, run_periodically([task], metrics, grace_s=budget.action_loop_s):
        yield
