"""Cuts the window of audio that the model scores."""

from math import gcd

import numpy as np
import soxr
from numpy.typing import NDArray

from amd_service.domain import Anchor, Waveform, Window

RATE_HZ = 16_000
# Milliseconds. If the onset is later than LATE_MS, the anchor `auto` starts the window shortly before the onset.
# A window from the first sample would contain silence. A model that was trained on the first seconds of calls scores
# silence as human with high confidence.
LATE_MS = 1_000
LEAD_MS = 200
# Milliseconds of extra audio for the resampler on both sides of the window. With this audio, the edges of the window
# are the same as in the resampled whole recording.
MARGIN_MS = 60


def cut(waveform: Waveform, *, onset_ms: int | None, anchor: Anchor, length_ms: int) -> Window:
    """Cut a window of up to `length_ms` at 16 kHz. A window at the end of the recording is shorter and is not padded.

    Audio at 16 kHz is not changed. At other rates, soxr (quality HQ) resamples only the part that the window needs.
    """
    start_ms = _start_ms(onset_ms, anchor)
    return Window(_at_16_khz(waveform, start_ms, length_ms), start_ms, onset_ms)


def required_ms(*, onset_ms: int, anchor: Anchor, length_ms: int) -> int:
    """Return the milliseconds of the recording that must have arrived before the window is final."""
    return _start_ms(onset_ms, anchor) + length_ms + MARGIN_MS


def _start_ms(onset_ms: int | None, anchor: Anchor) -> int:
    follows = anchor is Anchor.ONSET or (anchor is Anchor.AUTO and onset_ms is not None and onset_ms > LATE_MS)
    return max(0, onset_ms - LEAD_MS) if follows and onset_ms is not None else 0


def _at_16_khz(waveform: Waveform, start_ms: int, length_ms: int) -> NDArray[np.float32]:
    samples, rate_hz = waveform.samples, waveform.rate_hz
    first, count = start_ms * RATE_HZ // 1000, length_ms * RATE_HZ // 1000
    if rate_hz == RATE_HZ:
        return samples[first : first + count]
    # Start the resampled part where an input sample and an output sample coincide. Only then does the resampled part
    # equal the same part of the resampled whole recording.
    step = rate_hz // gcd(rate_hz, RATE_HZ)
    begin = max(0, (start_ms - MARGIN_MS) * rate_hz // 1000) // step * step
    end = (start_ms + length_ms + MARGIN_MS) * rate_hz // 1000
    piece = samples[begin:end]
    if not len(piece):
        return np.zeros(0, dtype=np.float32)
    skip = first - begin * RATE_HZ // rate_hz
    resampled = soxr.resample(piece, rate_hz, RATE_HZ, quality="HQ")[skip : skip + count]
    # At clipped peaks the resampler returns values outside [-1, 1].
    clipped: NDArray[np.float32] = np.clip(resampled, -1, 1)
    return clipped
