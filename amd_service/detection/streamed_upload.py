"""Judges a recording during its upload (`POST /predict-stream`): provisional verdicts, then the final verdict."""

from dataclasses import dataclass, replace

from amd_service.detection.audio.input import AudioInput
from amd_service.detection.classifier.request_queue import Priority
from amd_service.detection.detector import Detector
from amd_service.domain import ModelRun, Verdict
from amd_service.errors import Undecodable

# Milliseconds of audio after the onset of speech. A provisional verdict is made at each of these lengths.
MILESTONES_MS = (1000, 2000, 5000)

# Each check decodes the whole buffer again. To limit this work, the distance between two checks grows with the buffer.
# The distance is 5 % of the buffer (100 ms after 2 s of audio) and at least 1600 bytes (0.1 s of telephone audio as
# 16-bit PCM).
_STEP_DIVISOR = 20
_MIN_STEP_BYTES = 1600


@dataclass(frozen=True, slots=True)
class Provisional:
    """A verdict from one model run. `speech_ms`: milliseconds of audio after the onset of speech that the run used."""

    verdict: Verdict
    speech_ms: int


class StreamedUpload:
    """Collects the chunks of an upload and judges the audio.

    Call `feed` with each chunk, then call `finish`. Audio that cannot influence the verdict is discarded. `audio`
    describes the upload. `audio.data` contains the bytes that were received before, usually none.
    """

    def __init__(self, detector: Detector, audio: AudioInput, *, priority: Priority = Priority.INTERACTIVE) -> None:
        self._detector = detector
        self._audio = audio
        self._priority = priority
        self._buffer = bytearray(audio.data)
        self._next_check_bytes = _MIN_STEP_BYTES
        self._milestones = list(MILESTONES_MS)
        self.is_complete = False

    async def feed(self, chunk: bytes) -> list[Provisional]:
        """Add a chunk. Returns the provisional verdicts that became possible with this chunk.

        Chunks are ignored after `is_complete` has become true, because more audio cannot change the verdict. Raises
        ClassifierUnavailable, QueueFull or ModelFailed.
        """
        if self.is_complete:
            return []
        self._buffer += chunk
        if len(self._buffer) < self._next_check_bytes:
            return []
        self._next_check_bytes = len(self._buffer) + max(_MIN_STEP_BYTES, len(self._buffer) // _STEP_DIVISOR)
        return await self._analyse()

    async def finish(self) -> Verdict:
        """Return the final verdict. The final verdict equals the verdict on a file with the same bytes.

        Raises the errors of `feed`, and Undecodable.
        """
        return await self._detector.judge(self._received(), priority=self._priority)

    async def score_remaining_window(self, verdict: Verdict) -> ModelRun | None:
        """Score the longer window if the final verdict did not need it: other thresholds can need it.

        Returns None if no window remains. Raises the errors of `feed`.
        """
        if len(verdict.runs) != 1:
            return None
        return await self._detector.score_longer_window(self._received(), verdict.runs[0], self._priority)

    async def _analyse(self) -> list[Provisional]:
        try:
            prepared = await self._detector.prepare(self._received())
        except Undecodable:
            # The header may be incomplete. If the whole body is not audio, `finish` raises Undecodable.
            return []
        self.is_complete = prepared.waveform.duration_ms >= self._detector.max_audio_ms
        provisional: list[Provisional] = []
        while self._milestones and prepared.speech_ms >= self._milestones[0]:
            speech_ms = self._milestones.pop(0)
            verdict = await self._detector.classify_window(prepared, speech_ms, self._priority)
            provisional.append(Provisional(verdict, speech_ms))
        return provisional

    def _received(self) -> AudioInput:
        return replace(self._audio, data=bytes(self._buffer))
