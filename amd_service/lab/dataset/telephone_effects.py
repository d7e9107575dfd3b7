"""Telephone effects on speech at 8 kHz: reverberation, noise, band, level, packet loss, companding."""

import random
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from amd_service.lab.dataset.call_starts import CallStart
from amd_service.lab.synthesis.render import RATE_HZ, Sound

_BANK_S = 40
_MU = 255.0


def degrade(call_start: CallStart, babble: Callable[[], Sound], rng: random.Random) -> Sound:
    """Return the call start after random telephone effects, in [-1, 1].

    `babble` returns other speech for the background. The effects are drawn independently of the label, so
    that no effect predicts the label.
    """
    noise_rng = np.random.default_rng(rng.getrandbits(64))
    sound = _reverberate(call_start.samples, noise_rng, rng) if rng.random() < 0.3 else call_start.samples
    spoken = sound[call_start.speech] if call_start.onset_s is not None else sound
    loudness = max(float(np.sqrt(np.mean(spoken**2))) if len(spoken) else 0.0, 0.01)
    if rng.random() < 0.75:
        noise = _noise(len(sound), babble, rng)
        if rng.random() < 0.15 and call_start.onset_s is not None:
            noise = noise * call_start.speech  # some networks send no noise between words
        sound = sound + noise * (loudness * 10 ** (-rng.uniform(10, 45) / 20))
    if rng.random() < 0.85:
        sound = limit_band(sound, rng.uniform(150, 400), rng.uniform(3000, 3800))
    sound = sound * (10 ** (-rng.uniform(2, 30) / 20) / max(float(np.abs(sound).max(initial=0.0)), 1e-4))
    if rng.random() < 0.12:
        sound = _lose_packets(sound, noise_rng, rng.uniform(0.005, 0.03))
    if rng.random() < 0.85:
        sound = compand(sound)
    return np.clip(sound, -1, 1).astype(np.float32)


def compand(sound: Sound) -> Sound:
    """Encode to 8-bit μ-law and decode again, by the continuous formula of ITU-T G.711."""
    squeezed = np.sign(sound) * np.log1p(_MU * np.minimum(np.abs(sound), 1)) / np.log1p(_MU)
    steps = np.round(squeezed * 127) / 127
    expanded: Sound = (np.sign(steps) * np.expm1(np.abs(steps) * np.log1p(_MU)) / _MU).astype(np.float32)
    return expanded


def _reverberate(sound: Sound, noise_rng: np.random.Generator, rng: random.Random) -> Sound:
    """Add reverberation: convolve with decaying noise that reaches -60 dB after 0.1 to 0.5 s."""
    decay_s = rng.uniform(0.1, 0.5)
    time = np.arange(round(decay_s * RATE_HZ)) / RATE_HZ
    tail = noise_rng.standard_normal(len(time)) * 10 ** (-3 * time / decay_s) * rng.uniform(0.02, 0.12)
    tail[0] = 1.0
    size = 1 << (len(sound) + len(tail) - 1).bit_length()
    wet = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(tail, size), size)
    return wet[: len(sound)].astype(np.float32)


def limit_band(sound: Sound, low_hz: float, high_hz: float) -> Sound:
    """Filter to a band with linear slopes: from `low_hz / 2` to `low_hz`, and 200 Hz above `high_hz`."""
    size = 1 << (len(sound) - 1).bit_length()
    frequency = np.fft.rfftfreq(size, 1 / RATE_HZ)
    gain = np.clip((frequency - low_hz / 2) / (low_hz / 2), 0, 1) * np.clip((high_hz + 200 - frequency) / 200, 0, 1)
    return np.fft.irfft(np.fft.rfft(sound, size) * gain, size)[: len(sound)].astype(np.float32)


def _lose_packets(sound: Sound, noise_rng: np.random.Generator, share: float) -> Sound:
    """Drop a share of the 20 ms frames: replace them with silence, or repeat the previous frame as decoders do."""
    frame = RATE_HZ // 50
    heard = sound[: len(sound) // frame * frame].reshape(-1, frame).copy()
    repeats = bool(noise_rng.random() < 0.5)
    for index in np.flatnonzero(noise_rng.random(len(heard)) < share):
        heard[index] = heard[index - 1] if repeats and index > 0 else 0.0
    return np.concatenate([heard.reshape(-1), sound[heard.size :]])


def _noise(count: int, babble: Callable[[], Sound], rng: random.Random) -> Sound:
    """Return `count` samples of background noise, with a root mean square of 1."""
    draw = rng.random()
    if draw < 0.25:
        voices = [np.resize(babble(), count) for _ in range(rng.randint(2, 5))]
        wave: Sound = np.sum([np.roll(voice, rng.randrange(count)) for voice in voices], axis=0)
    elif draw < 0.4:
        base_hz = rng.choice((50, 60))
        time = np.arange(count) / RATE_HZ
        parts = [np.sin(2 * np.pi * base_hz * k * time) / k for k in (1, 2, 3, 5, 7, 9)]
        wave = np.sum(parts, axis=0).astype(np.float32)
    else:
        bank = _noise_bank(rng.choice((0.0, 0.0, 0.5, 1.0)))
        start = rng.randrange(len(bank) - count)
        wave = bank[start : start + count]
    return (wave / max(float(np.sqrt(np.mean(wave**2))), 1e-6)).astype(np.float32)


@lru_cache(maxsize=4)
def _noise_bank(slope: float) -> Sound:
    """Return noise whose amplitude falls with frequency to the power of `slope` (white: 0, pink: 0.5, brown: 1)."""
    white = np.random.default_rng(1).standard_normal(_BANK_S * RATE_HZ)
    spectrum = np.fft.rfft(white)
    shape = np.maximum(np.fft.rfftfreq(len(white), 1 / RATE_HZ), 20.0) ** -slope
    return np.fft.irfft(spectrum * shape, len(white)).astype(np.float32)
