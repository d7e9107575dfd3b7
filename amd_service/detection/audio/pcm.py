"""Converts a recording to 16-bit PCM, which every browser plays."""

from dataclasses import dataclass
from struct import pack

import numpy as np
from numpy.typing import NDArray

from amd_service.detection.audio.decode import decode

_PCM = 1
_BYTES = 2


@dataclass(frozen=True, slots=True, eq=False)
class PcmAudio:
    """16-bit audio. `samples`: shape (channels, frames)."""

    samples: NDArray[np.int16]
    rate_hz: int

    @property
    def channels(self) -> int:
        return len(self.samples)

    @property
    def size(self) -> int:
        """Bytes of memory."""
        return self.samples.nbytes

    def wav(self, channel: int | None = None) -> bytes:
        """Return a WAV file with one channel, counted from 1. None: with all channels.

        Source of the format: http://soundfile.sapp.org/doc/WaveFormat/
        """
        samples = self.samples if channel is None else self.samples[channel - 1 : channel]
        body = np.ascontiguousarray(samples.T, dtype="<i2").tobytes()
        frame = len(samples) * _BYTES
        fields = pack("<IHHIIHH", 16, _PCM, len(samples), self.rate_hz, self.rate_hz * frame, frame, 8 * _BYTES)
        return b"RIFF" + pack("<I", 36 + len(body)) + b"WAVEfmt " + fields + b"data" + pack("<I", len(body)) + body


def decode_pcm(data: bytes, *, content_type: str | None, max_s: float) -> PcmAudio:
    """Decode the first `max_s` seconds of a recording. The work is CPU-bound. Raises Undecodable."""
    tracks = decode(data, content_type=content_type, max_s=max_s)
    return PcmAudio(np.rint(tracks.samples * np.iinfo(np.int16).max).astype(np.int16), tracks.rate_hz)
