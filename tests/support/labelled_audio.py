"""Small audio files for dataset folders."""

from pathlib import Path

import numpy as np

from amd_service.lab.fixtures.sounds import as_channels, wav
from amd_service.lab.synthesis.render import Sound


def noise(seconds: float = 0.5, *, seed: int = 0) -> Sound:
    """Return noise at 8 kHz. Equal seeds and lengths give equal samples."""
    samples = np.random.default_rng(seed).standard_normal(round(seconds * 8000)) * 0.1
    return samples.astype(np.float32)


def write_wav(path: Path, *channels: Sound) -> Path:
    """Write a WAV file in 16-bit PCM, with half a second of noise if no channels are given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sounds = channels or (noise(),)
    path.write_bytes(wav(sounds[0] if len(sounds) == 1 else as_channels(*sounds), "PCM_16"))
    return path
