"""Generates speech-like sound for measurements without recordings. The same seed gives the same sound."""

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 16_000

Clip = NDArray[np.float32]


def clip(seed: int, seconds: float = 2.0) -> Clip:
    """Return a clip, float32 in [-1, 1]: harmonics and noise with a syllable-like envelope, random level and band."""
    rng = np.random.default_rng(seed)
    count = round(seconds * RATE_HZ)
    sound = _voice(rng, count) * _envelope(rng, count) + rng.normal(0, 10 ** rng.uniform(-3.5, -1), count)
    sound = _band(rng, sound)
    return (sound / np.abs(sound).max() * 10 ** rng.uniform(-1.5, -0.1)).astype(np.float32)


def clips(count: int, seconds: float = 2.0, *, seed: int = 0) -> list[Clip]:
    return [clip(seed * 100_000 + index, seconds) for index in range(count)]


def _voice(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    time = np.arange(count) / RATE_HZ
    wobble = np.interp(time, np.linspace(0, time[-1], 12), rng.uniform(0.8, 1.25, 12))
    phase = 2 * np.pi * np.cumsum(rng.uniform(80, 280) * wobble) / RATE_HZ
    tilt = rng.uniform(0.6, 1.6)
    voice: NDArray[np.float64] = sum((np.sin(k * phase) / k**tilt for k in range(1, 24)), np.zeros(count))
    return voice + rng.uniform(0, 0.6) * rng.normal(0, 1, count)


def _envelope(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Return the loudness of about four syllables per second after a random onset.

    A quarter of the syllables is silent.
    """
    points = max(4, round(count / RATE_HZ * 8))
    heights = rng.uniform(0, 1, points) * (rng.random(points) < 0.75)
    heights[: rng.integers(0, points // 2)] = 0
    heights[-1] = 1.0
    return np.interp(np.arange(count), np.linspace(0, count - 1, points), heights)


def _band(rng: np.random.Generator, sound: NDArray[np.float64]) -> NDArray[np.float64]:
    frequency = np.fft.rfftfreq(len(sound), 1 / RATE_HZ)
    keep = (frequency > rng.uniform(20, 400)) & (frequency < rng.uniform(3000, 7900))
    return np.fft.irfft(np.fft.rfft(sound) * keep, len(sound))
