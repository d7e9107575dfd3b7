"""Judges a recording with a second model, for comparison. The verdict of the call does not change."""

import hashlib
from dataclasses import dataclass

from amd_service.calls.shadow_runs import add_shadow_runs
from amd_service.database.pool import Database
from amd_service.detection.audio.input import AudioInput
from amd_service.detection.classifier.request_queue import Priority
from amd_service.detection.detector import Detector
from amd_service.domain import CallSid, Job, ShadowOutcome


@dataclass(frozen=True, slots=True)
class ShadowJudge:
    """Judges recordings with `detector`, whose windows and thresholds are those of its own model.

    `share`: share of the calls, from 0 to 1.
    """

    detector: Detector
    database: Database
    share: float = 1.0

    def is_chosen(self, call_sid: CallSid) -> bool:
        """Whether the call belongs to the share. The answer for a call is always the same."""
        digest = hashlib.sha256(f"shadow {call_sid}".encode()).digest()
        return int.from_bytes(digest[:8]) < self.share * 2**64

    async def judge(self, job: Job, audio: AudioInput) -> ShadowOutcome:
        """Judge the audio of a judged recording and store the runs.

        Raises the errors of `Detector.judge`, and DatabaseUnavailable.
        """
        verdict = await self.detector.judge(audio, priority=Priority.RECORDING)
        async with self.database.transaction() as session:
            is_new = await add_shadow_runs(session, job.recording_sid, verdict, attempt=job.attempts)
        return ShadowOutcome.STORED if is_new else ShadowOutcome.KNOWN
