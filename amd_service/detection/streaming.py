"""Audio that arrives bit by bit → provisional verdicts, and the final one."""

from dataclasses import dataclass

from amd_service.detection.classifier.inference import Priority
from amd_service.detection.detector import Detector
from amd_service.domain import Verdict
from amd_service.errors import Undecodable

# A provisional verdict is given once this much has been heard since speech began.
MILESTONES_MS = (1000, 2000, 5000)

# Decoding starts over at each look, so looks get rarer as the buffer grows: 5 % is 100 ms at 2 s. The least is
# 0.1 s of telephone audio as 16-bit PCM.
_LOOK_SHARE = 20
_LOOK_LEAST_BYTES = 1600


@dataclass(frozen=True, slots=True)
class Provisional:
    """A verdict on what had arrived when `speech_ms` of speech had been heard; one model run."""

    verdict: Verdict
    speech_ms: int


class Listening:
    """One stream. `feed` it chunks, then `finish` it; it keeps no more than the detector listens to."""

    def __init__(
        self,
        detector: Detector,
        *,
        content_type: str | None,
        channel: int | None,
        one_sided: bool,
        priority: Priority = Priority.INTERACTIVE,
    ) -> None:
        self._detector = detector
        self._content_type = content_type
        self._channel = channel
        self._one_sided = one_sided
        self._priority = priority
        self._buffer = bytearray()
        self._next_look = _LOOK_LEAST_BYTES
        self._milestones = list(MILESTONES_MS)
        self.full = False

    async def feed(self, chunk: bytes) -> list[Provisional]:
        """Take the next bytes; the provisional verdicts they make possible.

        Once `full`, what comes is not kept: it cannot change the verdict. Raises ClassifierUnavailable, QueueFull,
        ModelFailed.
        """
        if self.full:
            return []
        self._buffer += chunk
        if len(self._buffer) < self._next_look:
            return []
        self._next_look = len(self._buffer) + max(_LOOK_LEAST_BYTES, len(self._buffer) // _LOOK_SHARE)
        return await self._look()

    async def finish(self) -> Verdict:
        """The verdict on the whole, the same as for a file of these bytes. Raises Undecodable beside the above."""
        return await self._detector.judge(
            bytes(self._buffer),
            content_type=self._content_type,
            channel=self._channel,
            one_sided=self._one_sided,
            priority=self._priority,
        )

    async def _look(self) -> list[Provisional]:
        try:
            heard = await self._detector.listen(
                bytes(self._buffer), content_type=self._content_type, channel=self._channel, one_sided=self._one_sided
            )
        except Undecodable:
            return []  # a header may still be incomplete; if it is no audio at all, `finish` says so
        self.full = heard.waveform.duration_ms >= self._detector.listened_ms
        given: list[Provisional] = []
        while self._milestones and heard.speech_ms >= self._milestones[0]:
            speech_ms = self._milestones.pop(0)
            given.append(Provisional(await self._detector.glance(heard, speech_ms, self._priority), speech_ms))
        return given
