"""Opens and closes the shadow model of a worker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from amd_service.database.opening import open_database
from amd_service.database.pool import Database
from amd_service.detection.detector import Detector
from amd_service.errors import ModelUnusable
from amd_service.operations.judge_shadow import ShadowJudge
from amd_service.operations.rejudge import Rejudger
from amd_service.settings import Settings
from amd_service.telemetry import Metrics, get_logger
from amd_service.twilio.recordings import Recordings, http_client
from amd_service.worker.shadow import ShadowRuns

log = get_logger(__name__)


def build_shadow_detector(settings: Settings, model: str) -> Detector:
    """Build a detector for the shadow model, with its own metrics: those of the first model must not change."""
    shadow = settings.with_model(model, settings.shadow_revision)
    return Detector.from_settings(shadow, Metrics(), is_service=False, background=True)


@asynccontextmanager
async def run_shadow(
    settings: Settings, database: Database, first: Detector, metrics: Metrics
) -> AsyncIterator[ShadowRuns | None]:
    """Run the shadow model until the context ends. Yields None if the settings contain no shadow model.

    The model loads after `first` is ready. If it cannot be used, its runs are skipped and counted.
    """
    if settings.shadow_model is None:
        yield None
        return
    detector = build_shadow_detector(settings, settings.shadow_model)
    runs = ShadowRuns(ShadowJudge(detector, database, settings.shadow_share), metrics, is_idle=lambda: first.is_idle)
    tasks = [asyncio.create_task(runs.run()), asyncio.create_task(_start(detector, first, metrics))]
    try:
        yield runs
    finally:
        runs.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await detector.close()


async def _start(detector: Detector, first: Detector, metrics: Metrics) -> None:
    await first.wait_ready()
    detector.start()
    try:
        await detector.wait_ready_or_raise()
    except ModelUnusable as error:
        log.warning("shadow model not usable, its runs are skipped", error=str(error))
        return
    metrics.shadow_ready.set(1)
    log.info("shadow model ready", model=detector.identity and detector.identity.id)


@asynccontextmanager
async def open_rejudger(settings: Settings, model: str, *, per_minute: int) -> AsyncIterator[Rejudger]:
    """Open what a command needs to judge past calls with another model, whose name is like AMD_SHADOW_MODEL.

    Raises ModelUnusable if the model cannot be used.
    """
    async with (
        http_client(settings) as client,
        open_database(settings) as database,
        build_shadow_detector(settings, model) as detector,
    ):
        await detector.wait_ready_or_raise()
        recordings = Recordings(client, settings)
        yield Rejudger(database, detector, settings.accounts, recordings, per_minute=per_minute)
