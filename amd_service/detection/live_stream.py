"""Judges a call in progress (Twilio Media Stream) as soon as more audio cannot change the verdict."""

from amd_service.detection.audio.activity import SETTLED_MS, UNSETTLED_MS
from amd_service.detection.audio.input import AudioInput
from amd_service.detection.audio.window import required_ms
from amd_service.detection.classifier.request_queue import Priority
from amd_service.detection.detector import Detector
from amd_service.detection.prepared_audio import PreparedAudio
from amd_service.domain import Reason, Verdict
from amd_service.errors import ClassifierUnavailable

CONTENT_TYPE = "audio/x-mulaw;rate=8000"
BYTES_PER_MS = 8
# Milliseconds of further audio before the next try, after the classifier was not ready or its queue was full.
RETRY_MS = 500


class LiveStream:
    """Collects and judges the called party's audio (μ-law, 8 kHz).

    Call `feed` with each chunk of audio. Call `finish` if the stream ends before `feed` has returned a verdict. The
    verdict equals the verdict of `Detector.judge` on the whole audio, with these exceptions:

    - the policy can have an earlier look for calls in progress, and this look is confident;
    - the first confident window decides, also if the policy always scores the longer window;
    - the rules about beep and rhythm have no effect.

    To ensure this equality, a window is scored only when more audio can change neither the window nor the onset of
    speech.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._buffer = bytearray()
        self._received_bytes = 0
        self._looks = 0
        # The first check assumes the earliest onset: speech begins at the first sample.
        self._next_check_ms = self._final_at_ms(0)

    @property
    def _lengths_ms(self) -> list[int]:
        """Lengths of the windows, from the first look to the last. They are final when the model is loaded."""
        policy = self._detector.policy
        return sorted({policy.live_window_ms, policy.window_ms, policy.long_window_ms})

    @property
    def received_ms(self) -> int:
        """Milliseconds of audio received so far, including audio that was discarded."""
        return self._received_bytes // BYTES_PER_MS

    @property
    def kept_ms(self) -> int:
        return len(self._buffer) // BYTES_PER_MS

    async def feed(self, audio: bytes) -> Verdict | None:
        """Add audio. Returns the verdict when the verdict is final. Do not call `feed` again after a verdict.

        If the classifier is not ready or its queue is full, a later call of `feed` tries again. Raises ModelFailed.
        """
        self._buffer += audio[: self._detector.max_audio_ms * BYTES_PER_MS - len(self._buffer)]
        self._received_bytes += len(audio)
        if self.received_ms < self._next_check_ms:
            return None
        try:
            return await self._analyse()
        except ClassifierUnavailable:
            self._next_check_ms = self.received_ms + RETRY_MS
            return None

    async def finish(self) -> Verdict:
        """Return the verdict on the audio received so far, judged like a complete recording.

        Raises Undecodable if no audio was received. Raises ClassifierUnavailable, QueueFull or ModelFailed.
        """
        return await self._detector.judge(self._audio(), priority=Priority.INTERACTIVE, is_live=True)

    async def _analyse(self) -> Verdict | None:
        if len(self._buffer) >= self._detector.max_audio_ms * BYTES_PER_MS:
            return await self.finish()
        prepared = await self._detector.prepare(self._audio())
        kept_ms = prepared.waveform.duration_ms
        if prepared.onset_ms is None:
            self._next_check_ms = self._limited(kept_ms - UNSETTLED_MS + self._lengths_ms[0])
            return None
        self._next_check_ms = self._final_at_ms(prepared.onset_ms)
        if kept_ms < self._next_check_ms:
            return None
        if self._looks and self._looks == len(self._lengths_ms) - 1:
            return await self.finish()
        return await self._look(prepared, prepared.onset_ms)

    async def _look(self, prepared: PreparedAudio, onset_ms: int) -> Verdict | None:
        lengths_ms = self._lengths_ms
        verdict = await self._detector.classify_window(prepared, lengths_ms[self._looks], Priority.INTERACTIVE)
        if verdict.reason is Reason.CONFIDENT or self._looks == len(lengths_ms) - 1:
            return verdict
        self._looks += 1
        self._next_check_ms = self._final_at_ms(onset_ms)
        return None

    def _audio(self) -> AudioInput:
        return AudioInput(data=bytes(self._buffer), content_type=CONTENT_TYPE, one_sided=True)

    def _final_at_ms(self, onset_ms: int) -> int:
        """Return the milliseconds of audio after which both the onset and the next window are final."""
        length_ms = self._lengths_ms[self._looks]
        window_ms = required_ms(onset_ms=onset_ms, anchor=self._detector.policy.anchor, length_ms=length_ms)
        return self._limited(max(onset_ms + max(length_ms, SETTLED_MS), window_ms))

    def _limited(self, at_ms: int) -> int:
        return min(at_ms, self._detector.max_audio_ms)
