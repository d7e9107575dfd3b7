"""Decoded audio with all its channels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amd_service.errors import Undecodable

# Accepted sample rates. Telephone speech needs at least 4 kHz, and recorders use at most 192 kHz. Any other rate means
# that the header is damaged.
RATES_HZ = range(4_000, 192_001)


@dataclass(frozen=True, slots=True, eq=False)
class Tracks:
    """Decoded audio.

    - `samples`: float32, shape (channels, frames), finite, in [-1, 1];
    - `truncated`: True if the body is shorter than its header says. In this case, only the existing part was decoded;
    - `encoding`: `mulaw`, `alaw`, `pcm8` … `pcm32`, `pcm16be`, `float32`, `float64`, `mp3`, `flac`, `vorbis`, `opus` or
      another name of libsndfile.
    """

    samples: NDArray[np.float32]
    rate_hz: int
    truncated: bool
    encoding: str


def require_plausible(channels: int, rate_hz: int) -> None:
    """Reject channel counts and sample rates that no call recorder writes.

    More than two channels are rejected, not mixed, because the called party's channel is unknown.

    Raises:
        Undecodable: the message names the value and the cure.
    """
    if channels not in (1, 2):
        raise Undecodable(f"The audio has {channels} channels: send one or two, with the called party on one channel.")
    if rate_hz not in RATES_HZ:
        raise Undecodable(f"The audio has a sample rate of {rate_hz} Hz: send {RATES_HZ[0]} to {RATES_HZ[-1]} Hz.")


def head_frames(max_s: float | None, rate_hz: int) -> int | None:
    """Return the number of frames in `max_s` seconds, or None (no limit) if `max_s` is None."""
    return None if max_s is None else max(0, round(max_s * rate_hz))


def make_tracks(frames: NDArray[np.float32], rate_hz: int, *, truncated: bool, encoding: str) -> Tracks:
    """Make tracks from interleaved `frames`, shape (frames, channels).

    NaN and infinity become 0; other values are clipped to [-1, 1]. `frames` may be changed.
    """
    samples = np.ascontiguousarray(frames.T, dtype=np.float32)
    # In place: 20 s of two channels at 192 kHz have 31 MB.
    np.nan_to_num(samples, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    return Tracks(np.clip(samples, -1, 1, out=samples), rate_hz, truncated, encoding)
