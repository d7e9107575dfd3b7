"""Beeps of many shapes, and sounds that resemble them: call progress tones, fax, touch tones, music, vowels. 8 kHz."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from amd_service.lab.synthesis.render import RATE_HZ, Sound
from amd_service.lab.synthesis.tones import silence, tone

# Frequencies and cadence (seconds on, off, on, off, …). ITU-T E.180 Supplement 2.
RINGBACKS: Sequence[tuple[tuple[float, ...], tuple[float, ...]]] = (
    ((440.0, 480.0), (2.0, 4.0)),
    ((425.0,), (1.0, 4.0)),
    ((400.0, 450.0), (0.4, 0.2, 0.4, 2.0)),
    ((440.0,), (1.5, 3.5)),
    ((425.0,), (1.5, 3.0)),
)
BUSY_TONES: Sequence[tuple[tuple[float, ...], tuple[float, ...]]] = (
    ((480.0, 620.0), (0.5, 0.5)),
    ((480.0, 620.0), (0.25, 0.25)),
    ((425.0,), (0.5, 0.5)),
    ((425.0,), (0.25, 0.25)),
    ((400.0,), (0.375, 0.375)),
    ((440.0,), (0.5, 0.5)),
    ((450.0,), (0.35, 0.35)),
)
# Frequency and seconds of the three information tones (https://w4zt.com/freqs/sit.html). The last kind is the plain
# signal of ITU-T E.180.
SIT: dict[str, tuple[tuple[float, float], ...]] = {
    "vacant": ((985.2, 0.38), (1370.6, 0.274), (1776.7, 0.38)),
    "intercept": ((913.8, 0.274), (1370.6, 0.274), (1776.7, 0.38)),
    "reorder": ((913.8, 0.274), (1428.5, 0.38), (1776.7, 0.38)),
    "no_circuit": ((985.2, 0.38), (1428.5, 0.38), (1776.7, 0.38)),
    "other": ((950.0, 0.33), (1400.0, 0.33), (1800.0, 0.33)),
}
KEYS = ((697.0, 770.0, 852.0, 941.0), (1209.0, 1336.0, 1477.0, 1633.0))
DIGITS = ("123A", "456B", "789C", "*0#D")


@dataclass(frozen=True, eq=False)
class DrawnBeep:
    """A beep. `start_s`, `end_s`: where its amplitude passes half of its maximum."""

    samples: Sound
    start_s: float
    end_s: float


def draw_beep(rng: random.Random) -> DrawnBeep:
    """Draw a beep of 300 to 2500 Hz and 0.1 to 2.5 s: with sharp or soft edges, sometimes distorted or decaying."""
    hz = 300 * (2500 / 300) ** rng.random()
    seconds = 0.1 * 25 ** rng.random()
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    wave = np.sin(2 * np.pi * hz * time)
    kind = rng.random()
    if kind < 0.15:  # distorted: odd harmonics, as from a small loudspeaker
        wave = np.tanh(rng.uniform(1, 2) * wave)
    elif kind < 0.25:  # with a weak second harmonic
        wave = wave + rng.uniform(0.05, 0.15) * np.sin(4 * np.pi * hz * time)
    rise_s, fall_s = (rng.choice((0.001, 0.005, 0.02, 0.05)) for _ in range(2))
    rise_s, fall_s = min(rise_s, seconds / 4), min(fall_s, seconds / 4)
    edge = np.minimum(1, np.minimum(time / rise_s, (seconds - time) / fall_s))
    slope = rng.choice((0.0, 0.0, 0.0, 0.4))  # the level may fall by up to 40 %
    shaped = wave * edge * (1 - slope * time / seconds)
    return DrawnBeep((shaped / np.abs(shaped).max()).astype(np.float32), rise_s / 2, seconds - fall_s / 2)


def cadence(frequencies: Sequence[float], pattern: Sequence[float], seconds: float, offset_s: float = 0.0) -> Sound:
    """Return `seconds` of a repeated tone. The first `offset_s` of the pattern are missing."""
    cycle = [
        tone(frequencies, length, 1.0) if index % 2 == 0 else silence(length) for index, length in enumerate(pattern)
    ]
    repeats = int((seconds + offset_s) / sum(pattern)) + 1
    first = round(offset_s * RATE_HZ)
    return np.concatenate(cycle * repeats)[first : first + round(seconds * RATE_HZ)]


def information_tone(kind: str) -> Sound:
    return np.concatenate([tone((hz,), seconds, 1.0) for hz, seconds in SIT[kind]])


def touch_tones(rng: random.Random, digits: str) -> Sound:
    """Return the digits, with up to 4 dB between the two tones of a digit."""
    parts = []
    for digit in digits:
        row = next(index for index, keys in enumerate(DIGITS) if digit in keys)
        pair = KEYS[0][row], KEYS[1][DIGITS[row].index(digit)]
        seconds, twist = rng.uniform(0.07, 0.4), 10 ** (rng.uniform(-4, 4) / 20)
        parts += [
            tone(pair[:1], seconds, 0.5) + tone(pair[1:], seconds, 0.5 * twist),
            silence(rng.uniform(0.06, 0.2)),
        ]
    return np.concatenate(parts)


def calling_tone(seconds: float) -> Sound:
    """Return the tone of a fax that calls: 0.5 s of 1100 Hz every 3.5 s (ITU-T T.30)."""
    return cadence((1100.0,), (0.5, 3.0), seconds)


def answer_tone(rng: random.Random) -> Sound:
    """Return the answer of a fax or modem: 2.6 to 4 s of 2100 Hz, every second time with phase reversals (V.25)."""
    sound = tone((2100.0,), rng.uniform(2.6, 4.0), 1.0)
    if rng.random() < 0.5:
        sound = sound * np.where(np.arange(len(sound)) // round(0.45 * RATE_HZ) % 2, -1, 1).astype(np.float32)
    return sound


def music(rng: random.Random, seconds: float) -> Sound:
    """Return a tune: notes or chords of plucked or bowed strings, flutes or organs, in a scale."""
    root, beat_s, voices = rng.uniform(110, 330), rng.uniform(0.25, 0.6), rng.choice((1, 3, 3, 4))
    harmonics, decay = rng.choice(((1, 3.0), (3, 1.0), (6, 4.0), (8, 0.5)))
    sound = silence(seconds + 3)
    start = 0.0
    while start < seconds:
        length = beat_s * rng.choice((1, 1, 2))
        time = np.arange(round(min(length * 1.3, seconds + 2.5 - start) * RATE_HZ)) / RATE_HZ
        envelope = np.minimum(1, time / 0.01) * np.exp(-decay * time) * np.minimum(1, (time[-1] - time) / 0.05)
        first = round(start * RATE_HZ)
        for _ in range(voices):
            hz = root * 2 ** (rng.choice((0, 2, 4, 5, 7, 9, 11, 12, 14, 16)) / 12)
            for number in range(1, harmonics + 1):
                part = np.sin(2 * np.pi * hz * number * time + rng.random()) / number * envelope
                sound[first : first + len(time)] += part.astype(np.float32)
        start += length
    cut = sound[: round(seconds * RATE_HZ)]
    return cut / max(float(np.abs(cut).max(initial=0.0)), 1e-6)


def vowel(rng: random.Random) -> Sound:
    """Return a held vowel or hum of 0.3 to 1.5 s with the drift and jitter of a voice's pitch."""
    seconds, pitch = rng.uniform(0.3, 1.5), rng.uniform(90, 330)
    count = round(seconds * RATE_HZ)
    time = np.arange(count) / RATE_HZ
    wander = np.cumsum(np.random.default_rng(rng.getrandbits(32)).standard_normal(count)) / np.sqrt(RATE_HZ)
    vibrato = rng.uniform(0.002, 0.015) * np.sin(2 * np.pi * rng.uniform(3, 6) * time)
    track = pitch * (1 + 0.02 * wander + vibrato - rng.uniform(0, 0.12) * time / seconds)
    phase = 2 * np.pi * np.cumsum(track) / RATE_HZ
    first, second = rng.choice(((300, 870), (640, 1190), (530, 1840), (270, 2290), (250, 250)))
    sound = np.zeros(count)
    for number in range(1, int(3400 / pitch)):
        hz = pitch * number
        gain = 1 / (1 + ((hz - first) / 80) ** 2) + 0.4 / (1 + ((hz - second) / 120) ** 2)
        sound += gain / number**0.5 * np.sin(number * phase)
    edge = np.minimum(1, np.minimum(time / 0.05, (seconds - time) / 0.08))
    shaped: Sound = (sound * edge / np.abs(sound).max()).astype(np.float32)
    return shaped
