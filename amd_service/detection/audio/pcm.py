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


class WavFile:
    """A WAV file of some audio, made part by part, so that no reader needs a copy of the whole file.

    `channel`: the only channel, counted from 1. None: all channels.
    Source of the format: http://soundfile.sapp.org/doc/WaveFormat/
    """

    def __init__(self, audio: PcmAudio, channel: int | None = None) -> None:
        self._samples = audio.samples if channel is None else audio.samples[channel - 1 : channel]
        self._frame = len(self._samples) * _BYTES
        body = self._samples.size * _BYTES
        fields = (16, _PCM, len(self._samples), audio.rate_hz, audio.rate_hz * self._frame, self._frame, 8 * _BYTES)
        self._header = b"RIFF" + pack("<I", 36 + body) + b"WAVEfmt " + pack("<IHHIIHH", *fields)
        self._header += b"data" + pack("<I", body)
        self.size = len(self._header) + body

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to `stop`, which is not included."""
        first, last = (max(0, place - len(self._header)) for place in (start, stop))
        frames = self._samples[:, first // self._frame : -(-last // self._frame)]
        body = np.ascontiguousarray(frames.T, dtype="<i2").tobytes()
        skipped = first % self._frame
        return self._header[start:stop] + body[skipped : skipped + last - first]


def decode_pcm(data: bytes, *, content_type: str | None, max_s: float) -> PcmAudio:
    """Decode the first `max_s` seconds of a recording. The work is CPU-bound. Raises Undecodable."""
    tracks = decode(data, content_type=content_type, max_s=max_s)
    return PcmAudio(np.rint(tracks.samples * np.iinfo(np.int16).max).astype(np.int16), tracks.rate_hz)
