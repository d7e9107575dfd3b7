"""Gives judged recordings to the shadow model while the first model has nothing to do."""

import asyncio
from collections.abc import Callable
from typing import NoReturn

from amd_service.detection.audio.input import AudioInput
from amd_service.domain import Job, ShadowOutcome
from amd_service.errors import AmdError
from amd_service.operations.judge_shadow import ShadowJudge
from amd_service.telemetry import Metrics, get_logger

log = get_logger(__name__)

# Recordings that wait for the shadow model. Their audio is in memory. Under a constant load, more of them would only
# wait longer.
MOST_WAITING = 16
# Seconds between two looks whether the first model has nothing to do.
LOOK_EVERY_S = 0.05


class ShadowRuns:
    """Judges recordings with the shadow model, one at a time, after the worker has stored their verdicts.

    Nothing here raises or delays the worker: a recording that cannot be judged now is skipped and counted. `is_idle`:
    whether the first model has nothing to do.
    """

    def __init__(self, judge: ShadowJudge, metrics: Metrics, *, is_idle: Callable[[], bool]) -> None:
        self._judge = judge
        self._metrics = metrics
        self._is_idle = is_idle
        self._kept: dict[Job, AudioInput] = {}
        self._queue: asyncio.Queue[tuple[Job, AudioInput]] = asyncio.Queue(MOST_WAITING)
        self._stopping = False

    def keep(self, job: Job, audio: AudioInput) -> None:
        """Keep the audio of a recording until `start` or `forget`."""
        if self._judge.is_chosen(job.call_sid):
            self._kept[job] = audio

    def start(self, job: Job) -> None:
        """Judge a recording whose verdict is stored. Recordings that were not kept are ignored."""
        audio = self._kept.pop(job, None)
        if audio is None:
            return
        if self._stopping:
            self._count(ShadowOutcome.SHUTDOWN)
        elif not self._judge.detector.is_ready:
            self._count(ShadowOutcome.NOT_READY)
        elif self._queue.full():
            self._count(ShadowOutcome.BUSY)
        else:
            self._queue.put_nowait((job, audio))

    def forget(self, job: Job) -> None:
        """Drop the audio of a recording whose attempt has ended."""
        self._kept.pop(job, None)

    def stop(self) -> None:
        """Skip all recordings that wait. This is the first step of a shutdown."""
        self._stopping = True
        while not self._queue.empty():
            self._queue.get_nowait()
            self._count(ShadowOutcome.SHUTDOWN)

    async def run(self) -> NoReturn:
        """Judge recordings until the task is cancelled."""
        while True:
            job, audio = await self._queue.get()
            while not self._is_idle():  # noqa: ASYNC110 - another thread changes the state
                await asyncio.sleep(LOOK_EVERY_S)
            if not self._stopping:
                self._count(await self._outcome(job, audio))

    async def _outcome(self, job: Job, audio: AudioInput) -> ShadowOutcome:
        try:
            return await self._judge.judge(job, audio)
        except AmdError as error:
            log.warning("shadow model failed", error=str(error), **job.log_fields)
        except Exception:
            # An unexpected error must not end the loop.
            log.exception("shadow model failed", **job.log_fields)
        return ShadowOutcome.FAILED

    def _count(self, outcome: ShadowOutcome) -> None:
        self._metrics.shadow_verdicts.labels(outcome).inc()
