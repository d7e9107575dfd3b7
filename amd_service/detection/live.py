"""A call that is up → its verdict, as soon as more audio could not change it."""

from amd_service.detection.audio.activity import SETTLED_MS, UNSETTLED_MS
from amd_service.detection.audio.window import reach_ms
from amd_service.detection.classifier.inference import Priority
from amd_service.detection.detector import Detector, Heard
from amd_service.domain import Reason, Verdict
from amd_service.errors import ClassifierUnavailable

CONTENT_TYPE = "audio/x-mulaw;rate=8000"
BYTES_PER_MS = 8
# Audio that goes by before a classifier that was loading, or full, is asked again.
RETRY_MS = 500


class LiveListening:
    """One stream of the called party's μ-law audio at 8 kHz. `hear` it piece by piece; `finish` where it ends early.

    The verdict is the one `Detector.judge` gives on the same audio when all of it is there: speech is looked for in
    what has come, and a window is judged once neither it nor the place where speech begins can change any more.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._policy = detector.policy
        self._most_bytes = detector.listened_ms * BYTES_PER_MS
        self._kept = bytearray()
        self._arrived_bytes = 0
        self._unsure = False
        # With speech from the first sample on. Nothing can be settled before.
        self._look_at_ms = self._due_ms(0)

    @property
    def heard_ms(self) -> int:
        """Audio that has come, kept or not."""
        return self._arrived_bytes // BYTES_PER_MS

    async def hear(self, audio: bytes) -> Verdict | None:
        """Take the next bytes; the verdict once it stands, after which there is no sense in going on.

        A classifier that is not ready, or full, is asked again as more audio comes. Raises ModelFailed.
        """
        self._kept += audio[: self._most_bytes - len(self._kept)]
        self._arrived_bytes += len(audio)
        if self.heard_ms < self._look_at_ms:
            return None
        try:
            return await self._look()
        except ClassifierUnavailable:
            self._look_at_ms = self.heard_ms + RETRY_MS
            return None

    async def finish(self) -> Verdict:
        """The verdict on what was heard, as on a recording that ends here.

        Raises Undecodable when nothing was, ClassifierUnavailable, QueueFull, ModelFailed.
        """
        return await self._detector.judge(
            bytes(self._kept), content_type=CONTENT_TYPE, channel=None, one_sided=True, priority=Priority.INTERACTIVE
        )

    async def _look(self) -> Verdict | None:
        if len(self._kept) == self._most_bytes:
            return await self.finish()
        heard = await self._detector.listen(bytes(self._kept), content_type=CONTENT_TYPE, channel=None, one_sided=True)
        kept_ms = heard.waveform.duration_ms
        if heard.onset_ms is None:
            self._look_at_ms = self._no_later(kept_ms - UNSETTLED_MS + self._policy.window_ms)
            return None
        self._look_at_ms = self._due_ms(heard.onset_ms)
        if kept_ms < self._look_at_ms:
            return None
        return await self.finish() if self._unsure else await self._first_window(heard, heard.onset_ms)

    async def _first_window(self, heard: Heard, onset_ms: int) -> Verdict | None:
        verdict = await self._detector.glance(heard, self._policy.window_ms, Priority.INTERACTIVE)
        if verdict.reason is Reason.CONFIDENT or self._policy.long_window_ms <= self._policy.window_ms:
            return verdict
        self._unsure = True
        self._look_at_ms = self._due_ms(onset_ms)
        return None

    def _due_ms(self, onset_ms: int) -> int:
        """When the window that is wanted next, and the onset, cannot change any more."""
        length_ms = self._policy.long_window_ms if self._unsure else self._policy.window_ms
        reach = reach_ms(onset_ms=onset_ms, anchor=self._policy.anchor, length_ms=length_ms)
        return self._no_later(max(onset_ms + max(length_ms, SETTLED_MS), reach))

    def _no_later(self, at_ms: int) -> int:
        return min(at_ms, self._detector.listened_ms)
