"""Judges a recording."""

from collections.abc import Mapping

from amd_service.detection.audio.decode import can_decode
from amd_service.detection.audio.input import AudioInput
from amd_service.detection.classifier.request_queue import Priority
from amd_service.detection.detector import Detector
from amd_service.domain import AccountSid, Failure, Job, Verdict
from amd_service.errors import CredentialsMissing, Permanent
from amd_service.settings import Account
from amd_service.telemetry import Metrics
from amd_service.twilio.recorded_side import holds_only_our_side, is_one_sided
from amd_service.twilio.recordings import AudioRules, Recordings


class RecordingJudge:
    """Downloads the first seconds of a recording from Twilio and judges this audio."""

    def __init__(
        self, accounts: Mapping[AccountSid, Account], recordings: Recordings, detector: Detector, metrics: Metrics
    ) -> None:
        self._accounts = accounts
        self._recordings = recordings
        self._detector = detector
        self._metrics = metrics

    async def judge(self, job: Job) -> Verdict:
        """Return the verdict on one recording.

        Raises Retryable or Permanent; any other error is a bug in this service.
        """
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
        with self._metrics.stage("fetch"):
            media = await self._recordings.fetch(
                account,
                job.recording_sid,
                prefer_dual=not one_sided,
                rules=AudioRules(can_decode, self._detector.has_enough_audio),
            )
        audio = AudioInput(
            data=media.data,
            content_type=media.content_type,
            channel=account.called_party_channel(job.source),
            one_sided=one_sided,
        )
        with self._metrics.stage("judge"):
            return await self._detector.judge(audio, priority=Priority.RECORDING)
