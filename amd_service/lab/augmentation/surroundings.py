"""Surroundings of the speaker: a room, background noise, mains hum, other people's voices."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from scipy.fft import next_fast_len

from amd_service.lab.augmentation.spectrum import Samples

# Returns other speech, at the rate of the samples, for a background of voices.
Babble = Callable[[], Samples]

_BANK_S = 40
_BABBLE_SHARE, _HUM_SHARE = 0.25, 0.15
_SLOPES = (0.0, 0.0, 0.5, 1.0)


def reverberate(samples: Samples, rate_hz: int, rng: np.random.Generator) -> Samples:
    """Add a room: convolve with decaying noise that reaches -60 dB after 0.1 to 0.5 s."""
    decay_s = rng.uniform(0.1, 0.5)
    time = np.arange(round(decay_s * rate_hz)) / rate_hz
    tail = rng.standard_normal(len(time)) * 10 ** (-3 * time / decay_s) * rng.uniform(0.02, 0.12)
    tail[0] = 1.0
    size = next_fast_len(len(samples) + len(tail), real=True)
    wet = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(tail.astype(np.float32), size), size)
    return np.asarray(wet[: len(samples)], np.float32)


def background(count: int, rate_hz: int, rng: np.random.Generator, babble: Babble | None = None) -> Samples:
    """Return `count` samples of voices (if `babble` is given), mains hum or noise, with a root mean square of 1."""
    draw = rng.random()
    if draw < _BABBLE_SHARE and babble is not None:
        voices = [np.resize(babble(), count) for _ in range(rng.integers(2, 6))]
        wave = np.sum([np.roll(voice, rng.integers(count)) for voice in voices], axis=0)
    elif _BABBLE_SHARE <= draw < _BABBLE_SHARE + _HUM_SHARE:
        turns = np.arange(count) / rate_hz * float(rng.choice((50.0, 60.0)))
        wave = np.sum([np.sin(2 * np.pi * k * turns) / k for k in (1, 2, 3, 5, 7, 9)], axis=0)
    else:
        bank = _noise_bank(float(rng.choice(_SLOPES)), rate_hz)
        start = int(rng.integers(max(len(bank) - count, 0) + 1))
        wave = np.resize(bank[start : start + count], count)
    return np.asarray(wave / max(float(np.sqrt(np.mean(wave**2))), 1e-6), np.float32)


@lru_cache(maxsize=8)
def _noise_bank(slope: float, rate_hz: int) -> Samples:
    """Return noise whose amplitude falls with frequency to the power of `slope` (white: 0, pink: 0.5, brown: 1)."""
    white = np.random.default_rng(1).standard_normal(_BANK_S * rate_hz)
    spectrum = np.fft.rfft(white)
    shape = np.maximum(np.fft.rfftfreq(len(white), 1 / rate_hz), 20.0) ** -slope
    return np.fft.irfft(spectrum * shape, len(white)).astype(np.float32)
