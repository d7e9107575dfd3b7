"""Telephone sounds that are not speech: ringback, beeps, information tones, touch tones. All sounds have 8 kHz."""

import random
from collections.abc import Sequence

import numpy as np

from amd_service.lab.synthesis.render import RATE_HZ, Sound

# Frequencies and cadence (seconds on, off, on, off, …) of ringback: North America, Europe, United Kingdom.
RINGBACKS: tuple[tuple[tuple[float, ...], tuple[float, ...]], ...] = (
    ((440.0, 480.0), (2.0, 4.0)),
    ((425.0,), (1.0, 4.0)),
    ((400.0, 450.0), (0.4, 0.2, 0.4, 2.0)),
)
SPECIAL_INFORMATION = (950.0, 1400.0, 1800.0)
_KEYS = ((697.0, 770.0, 852.0, 941.0), (1209.0, 1336.0, 1477.0))


def tone(frequencies: Sequence[float], seconds: float, level: float = 0.2) -> Sound:
    """Return the sum of sines, each at `level / len(frequencies)`, with 5 ms ramps against clicks."""
    count = round(seconds * RATE_HZ)
    time = np.arange(count) / RATE_HZ
    wave = np.sum([np.sin(2 * np.pi * frequency * time) for frequency in frequencies], axis=0) / len(frequencies)
    edge = np.minimum(1.0, np.minimum(np.arange(count), np.arange(count)[::-1]) / 40)
    shaped: Sound = (level * wave * edge).astype(np.float32)
    return shaped


def silence(seconds: float) -> Sound:
    return np.zeros(max(0, round(seconds * RATE_HZ)), np.float32)


def ringback(seconds: float, kind: int = 0, level: float = 0.15) -> Sound:
    """Return the last `seconds` of a ringback tone. The tone ends during a ring, when the call is answered."""
    frequencies, cadence = RINGBACKS[kind]
    cycle = [
        tone(frequencies, length, level) if index % 2 == 0 else silence(length) for index, length in enumerate(cadence)
    ]
    train = np.concatenate([*cycle * 4, cycle[0]])
    return train[-round(seconds * RATE_HZ) :] if seconds > 0 else silence(0)


def beep(rng: random.Random) -> Sound:
    """Return the beep with which a voicemail starts to record."""
    return tone((rng.choice((440.0, 850.0, 1000.0, 1400.0, 2000.0)),), rng.uniform(0.15, 0.9), rng.uniform(0.1, 0.4))


def special_information(level: float = 0.2) -> Sound:
    """Return the three rising tones before an operator's announcement (ITU-T E.180)."""
    return np.concatenate([tone((frequency,), 0.33, level) for frequency in SPECIAL_INFORMATION])


def keys(rng: random.Random) -> Sound:
    """Return a few touch tones."""
    pairs = [(rng.choice(_KEYS[0]), rng.choice(_KEYS[1])) for _ in range(rng.randint(1, 5))]
    return np.concatenate([part for pair in pairs for part in (tone(pair, 0.12), silence(0.08))])


def music(seconds: float, rng: random.Random) -> Sound:
    """Return notes of a random scale in one to three parts, each with its own overtones and its own decay."""
    scale = [rng.uniform(110, 330) * 2 ** (step / 12) for step in sorted(rng.sample(range(24), 6))]
    parts = [_part(seconds, scale, rng) for _ in range(rng.randint(1, 3))]
    return np.asarray(np.sum(parts, axis=0) * rng.uniform(0.05, 0.3) / len(parts), np.float32)


def _part(seconds: float, scale: Sequence[float], rng: random.Random) -> Sound:
    beat_s, decay_s = rng.choice((0.25, 0.5, 1.0)) * rng.uniform(0.7, 1.3), rng.uniform(0.1, 3.0)
    overtones = rng.randint(1, 6)
    time = np.arange(round(beat_s * RATE_HZ)) / RATE_HZ
    fade = np.exp(-time / decay_s) * np.minimum(1, time / 0.01)
    notes = []
    for _ in range(round(seconds * RATE_HZ) // len(time) + 1):
        pitch = rng.choice(scale)
        waves = [np.sin(2 * np.pi * k * pitch * time) / k for k in range(1, overtones + 1) if k * pitch < RATE_HZ / 2]
        notes.append(np.asarray(np.sum(waves, axis=0) * fade, np.float32))
    return np.concatenate(notes)[: round(seconds * RATE_HZ)]
