"""Effects of a telephone network on samples: μ-law, clipping, lost packets, level."""

from functools import cache

import numpy as np

from amd_service.lab.augmentation.spectrum import Samples

_MU = 255.0
_SIZES = 1 << 15
_PACKETS_PER_S = 50


def compand(samples: Samples) -> Samples:
    """Encode to 8-bit μ-law and decode again, by the continuous formula of ITU-T G.711."""
    size = np.minimum(np.abs(samples), 1)
    expanded: Samples = np.copysign(_expanded()[np.rint(size * (_SIZES - 1)).astype(np.intp)], samples)
    return expanded


@cache
def _expanded() -> Samples:
    """Return the size of a sample after μ-law, for each 16-bit size. A table is ten times faster than logarithms."""
    squeezed = np.log1p(_MU * np.linspace(0, 1, _SIZES)) / np.log1p(_MU)
    steps = np.round(squeezed * 127) / 127
    table: Samples = (np.expm1(steps * np.log1p(_MU)) / _MU).astype(np.float32)
    return table


def set_peak(samples: Samples, peak_db: float) -> Samples:
    """Scale so that the highest sample has `peak_db` relative to full scale."""
    peak = max(float(np.abs(samples).max(initial=0.0)), 1e-4)
    return (samples * np.float32(10 ** (peak_db / 20) / peak)).astype(np.float32)


def overload(samples: Samples, over_db: float) -> Samples:
    """Clip as an overloaded microphone does: all samples within `over_db` of the peak become the same value."""
    limit = float(np.abs(samples).max(initial=0.0)) * 10 ** (-over_db / 20)
    return np.clip(samples, -limit, limit)


def lose_packets(samples: Samples, rate_hz: int, share: float, rng: np.random.Generator) -> Samples:
    """Drop a share of the 20 ms frames: replace them with silence, or repeat the previous frame as decoders do."""
    frame = rate_hz // _PACKETS_PER_S
    heard = samples[: len(samples) // frame * frame].reshape(-1, frame).copy()
    repeats = bool(rng.random() < 0.5)
    for index in np.flatnonzero(rng.random(len(heard)) < share):
        heard[index] = heard[index - 1] if repeats and index > 0 else 0.0
    return np.concatenate([heard.reshape(-1), samples[heard.size :]])
