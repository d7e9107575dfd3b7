"""Judges a recording."""

import asyncio
from collections.abc import Mapping

from amd_service.detection.audio.completeness import why_incomplete
from amd_service.detection.audio.decode import can_decode
from amd_service.detection.audio.input import AudioInput
from amd_service.detection.classifier.request_queue import Priority
from amd_service.detection.detector import Detector
from amd_service.domain import AccountSid, Failure, Job, Verdict
from amd_service.errors import CredentialsMissing, MediaIncomplete, Permanent
from amd_service.settings import Account
from amd_service.telemetry import Metrics
from amd_service.tracing.spans import Traces
from amd_service.twilio.recorded_side import holds_only_our_side, is_one_sided
from amd_service.twilio.recordings import AudioRules, Media, Recordings


class RecordingJudge:
    """Downloads the first seconds of a recording from Twilio and judges this audio.

    Any number of downloads may run at once, but only `judgements_at_once` judgements. None: as many judgements as keep
    the engine busy.
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
    ) -> None:
        self._accounts = accounts
        self._recordings = recordings
        self._detector = detector
        self._metrics = metrics
        self._judgements_at_once = judgements_at_once
        self._traces = traces
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
        account = self._accounts.get(job.account_sid)
        if account is None:
            # The account's credentials were configured in the process that verified the callback. A process without
            # them must not give up the recording, because another process, or a restarted one, can judge it.
            raise CredentialsMissing(
                f"no credentials are configured for account {job.account_sid}: set them and restart"
            )
        if holds_only_our_side(job):
            raise Permanent("RecordingTrack=outbound contains only the audio that Twilio played", Failure.NO_RECORDING)
        one_sided = is_one_sided(job)
        with self._metrics.stage("fetch"), self._traces.span("fetch", "client"):
            media = await self._recordings.fetch(
                account,
                job.recording_sid,
                prefer_dual=not one_sided,
                rules=AudioRules(can_decode, self._detector.has_enough_audio),
            )
        self._raise_if_incomplete(media, job)
        audio = AudioInput(
            data=media.data,
            content_type=media.content_type,
            channel=account.called_party_channel(job.source),
            one_sided=one_sided,
        )
        if self._slots is None:
            # The number of windows that keep the engine busy is known only after the model was loaded.
            self._slots = asyncio.Semaphore(self._judgements_at_once or self._detector.windows_at_once)
        async with self._slots:
            with self._metrics.stage("judge"), self._traces.span("classify"):
                return await self._detector.judge(audio, priority=Priority.RECORDING)

    def _raise_if_incomplete(self, media: Media, job: Job) -> None:
        """Raise MediaIncomplete if the media cannot be the whole recording.

        Twilio sends a callback before the media is complete everywhere, and a proxy can replace the media by an error
        page. The last attempt judges the media as it is, so that the result is `undecodable` or `too_short`.
        """
        if job.is_last_attempt:
            return
        is_whole_body = media.complete and not self._detector.has_enough_audio(media.data)
        reason = why_incomplete(media.data, media.content_type, duration_s=job.duration_s, is_whole_body=is_whole_body)
        if reason is not None:
            raise MediaIncomplete(f"the recording is not complete yet: {reason}")
