"""A recording that is uploaded in chunks (`POST /predict-stream`): provisional verdicts, then the final one."""

from dataclasses import dataclass, replace

from amd_service.detection.audio.input import AudioInput
from amd_service.detection.classifier.request_queue import Priority
from amd_service.detection.detector import Detector
from amd_service.domain import Verdict
from amd_service.errors import Undecodable

# Amounts of audio since the onset of speech that each give a provisional verdict.
MILESTONES_MS = (1000, 2000, 5000)

# Each check decodes the whole buffer again, so the steps grow with the buffer: 5 % is 100 ms at 2 s. The smallest
# step is 0.1 s of telephone audio as 16-bit PCM.
_STEP_DIVISOR = 20
_MIN_STEP_BYTES = 1600


@dataclass(frozen=True, slots=True)
class Provisional:
    """A verdict from one model run, made when `speech_ms` of audio since the onset of speech had arrived."""

    verdict: Verdict
    speech_ms: int


class StreamedUpload:
    """Call `feed` with each chunk, then `finish`. Keeps no more audio than can influence the verdict.

    `audio`: describes the upload; its `data` is the part that is already there, usually empty.
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
        """Add a chunk and return the provisional verdicts that it allows.

        Chunks are ignored once `is_complete`: more audio cannot change the verdict. Raises ClassifierUnavailable,
        QueueFull, ModelFailed.
        """
        if self.is_complete:
            return []
        self._buffer += chunk
        if len(self._buffer) < self._next_check_bytes:
            return []
        self._next_check_bytes = len(self._buffer) + max(_MIN_STEP_BYTES, len(self._buffer) // _STEP_DIVISOR)
        return await self._analyse()

    async def finish(self) -> Verdict:
        """The final verdict, the same as for a file of these bytes. Raises as `feed` does, and Undecodable."""
        return await self._detector.judge(self._received(), priority=self._priority)

    async def _analyse(self) -> list[Provisional]:
        try:
            prepared = await self._detector.prepare(self._received())
        except Undecodable:
            return []  # the header may be incomplete; `finish` raises if this is no audio at all
        self.is_complete = prepared.waveform.duration_ms >= self._detector.max_audio_ms
        provisional: list[Provisional] = []
        while self._milestones and prepared.speech_ms >= self._milestones[0]:
            speech_ms = self._milestones.pop(0)
            verdict = await self._detector.classify_window(prepared, speech_ms, self._priority)
            provisional.append(Provisional(verdict, speech_ms))
        return provisional

    def _received(self) -> AudioInput:
        return replace(self._audio, data=bytes(self._buffer))
