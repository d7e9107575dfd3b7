"""An onset is final after SETTLED_MS of audio."""

import numpy as np

from amd_service.detection.audio.activity import SETTLED_MS, speech_onset_ms
from amd_service.domain import Waveform
from tests.support.signals import CLIPS, RATE_HZ, Array, read_clip, silence, through_mulaw

STEP = RATE_HZ // 10


def wavering_buzz(rng: np.random.Generator) -> Array:
    """A sound that is rich, voiced and moving like speech, until the sound is long enough to count as noise."""
    time = np.arange(int(rng.uniform(0.1, 2) * RATE_HZ)) / RATE_HZ
    pitch_hz, waver_hz, depth, level = rng.uniform(80, 300), rng.uniform(1, 12), rng.uniform(), rng.uniform(0.01, 0.1)
    harmonics = sum(np.sin(2 * np.pi * pitch_hz * k * time + k) / k for k in range(1, 20))
    return np.asarray(level * harmonics * (1 - depth * (0.5 + 0.5 * np.sin(2 * np.pi * waver_hz * time))), np.float32)


def some_sound(rng: np.random.Generator) -> Array:
    match rng.integers(3):
        case 0:
            return silence(rng.uniform(0.05, 2))
        case 1:
            clip = read_clip(CLIPS[rng.integers(len(CLIPS))])
            return clip[rng.integers(len(clip)) :]
        case _:
            return wavering_buzz(rng)


def test_an_onset_with_enough_audio_after_it_never_moves() -> None:
    rng = np.random.default_rng(7)
    moved_after_ms = []
    for _ in range(40):
        samples = through_mulaw(np.concatenate([some_sound(rng) for _ in range(4)]))
        onset_ms = speech_onset_ms(Waveform(samples, RATE_HZ))
        for length in range(RATE_HZ, len(samples), STEP):
            early_ms = speech_onset_ms(Waveform(samples[:length], RATE_HZ))
            if early_ms not in (None, onset_ms):
                moved_after_ms.append(length * 1000 // RATE_HZ - early_ms)
    assert max(moved_after_ms) > 900, "nothing here was ever unsettled"
    assert max(moved_after_ms) < SETTLED_MS
