"""Judges a recording."""

import asyncio
from collections.abc import Callable, Mapping

from amd_service.detection.audio.input import AudioInput
from amd_service.detection.classifier.request_queue import Priority
from amd_service.detection.detector import Detector
from amd_service.domain import AccountSid, Job, Verdict
from amd_service.operations.recording_audio import fetch_audio
from amd_service.settings import Account
from amd_service.telemetry import Metrics
from amd_service.tracing.spans import Traces
from amd_service.twilio.recordings import Recordings


class RecordingJudge:
    """Downloads the first seconds of a recording from Twilio and judges this audio.

    Any number of downloads may run at once, but only `judgements_at_once` judgements. None: as many judgements as keep
    the engine busy. `keep_audio`: called with the audio of each recording on which the model has run.
    """

    def __init__(
        self,
        accounts: Mapping[AccountSid, Account],
        recordings: Recordings,
        detector: Detector,
        metrics: Metrics,
        traces: Traces,
        *,
        judgements_at_once: int | None = None,
        keep_audio: Callable[[Job, AudioInput], None] | None = None,
    ) -> None:
        self._accounts = accounts
        self._recordings = recordings
        self._detector = detector
        self._metrics = metrics
        self._judgements_at_once = judgements_at_once
        self._traces = traces
        self._keep_audio = keep_audio
        self._slots: asyncio.Semaphore | None = None

    async def judge(self, job: Job) -> Verdict:
        """Return the verdict on one recording.

        Raises Retryable or Permanent; any other error is a bug in this service.
        """
        with self._traces.span("judge recording", "consumer", parent=job.traceparent) as span:
            span.set(call_sid=job.call_sid, recording_sid=job.recording_sid, attempt=job.attempts)
            verdict = await self._judge(job)
            span.set(label=verdict.label, reason=verdict.reason, confidence=verdict.confidence)
            return verdict

    async def _judge(self, job: Job) -> Verdict:
        with self._metrics.stage("fetch"), self._traces.span("fetch", "client"):
            audio = await fetch_audio(
                job,
                self._accounts,
                self._recordings,
                has_enough=self._detector.has_enough_audio,
                # The last attempt judges the media as it is, so that the result is `undecodable` or `too_short`.
                accept_incomplete=job.is_last_attempt,
            )
        if self._slots is None:
            # The number of windows that keep the engine busy is known only after the model was loaded.
            self._slots = asyncio.Semaphore(self._judgements_at_once or self._detector.windows_at_once)
        async with self._slots:
            with self._metrics.stage("judge"), self._traces.span("classify"):
                verdict = await self._detector.judge(audio, priority=Priority.RECORDING)
        if self._keep_audio is not None and verdict.runs:
            self._keep_audio(job, audio)
        return verdict
