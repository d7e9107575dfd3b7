"""Measures which espeak-ng variants sound distinct: `python -m amd_service.lab.synthesis.distinct_voices`.

Prints for each installed variant the nearest chosen variant and its distance, which variants are chosen, and which are
too near to another one. `ESPEAK_VARIANTS` is the result. Exits 1 if two chosen variants are nearer than the bound.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import librosa
import numpy as np
from numpy.typing import NDArray

from amd_service.lab.synthesis.render import RATE_HZ, Sound, render
from amd_service.lab.synthesis.utterances import Kind, Utterance
from amd_service.lab.synthesis.voices import ESPEAK_VARIANTS, Engine, Split, Voice

BOUND_DB = 1.5
_VARIANTS = "*/espeak-ng-data/voices/!v"
_SENTENCE = "Hello, this is Martin speaking. Please leave your number and we will call you back."
_QUIET_DB = 40.0

Spectrum = NDArray[np.float32]


def installed_variants(libraries: Path = Path("/usr/lib")) -> list[str]:
    """Return the names of the installed variants. A name with a space cannot be a part of a command-line voice."""
    return sorted(path.name for path in libraries.glob(f"{_VARIANTS}/*") if " " not in path.name)


def mean_spectrum(sound: Sound) -> Spectrum:
    """Return the mean over time of 40 log-mel bands in decibels, without the level. Quiet frames do not count."""
    bands = librosa.feature.melspectrogram(y=sound, sr=RATE_HZ, n_fft=512, hop_length=128, n_mels=40)
    level_db = 10 * np.log10(bands + 1e-8)
    loudest = level_db.max(axis=0)
    mean = level_db[:, loudest > loudest.max() - _QUIET_DB].mean(axis=1)
    return np.asarray(mean - mean.mean(), np.float32)


def distance_db(first: Spectrum, second: Spectrum) -> float:
    """Return the root mean square difference of two mean spectra in decibels."""
    return float(np.sqrt(np.mean((first - second) ** 2)))


def nearest(name: str, spectra: Mapping[str, Spectrum], others: Sequence[str]) -> tuple[float, str]:
    """Return the distance in decibels to the nearest of `others` (without `name` itself), and its name."""
    return min((distance_db(spectra[name], spectra[other]), other) for other in others if other != name)


def measure(names: Sequence[str]) -> dict[str, Spectrum]:
    """Render one English sentence with each variant and return the mean spectra."""
    voices = [Voice(Engine.ESPEAK, name, name, Split.TRAIN) for name in names]
    planned = [Utterance(voice, Kind.GREETING, "en", "en-us", _SENTENCE, 1.0, 1.0) for voice in voices]
    return {name: mean_spectrum(sound) for name, sound in zip(names, render(planned), strict=True)}


def main() -> int:
    split_of = {name: split for split, names in ESPEAK_VARIANTS.items() for name in names}
    spectra = measure(sorted({*installed_variants(), *split_of}))
    alike = 0
    for name in sorted(spectra):
        found_db, other = nearest(name, spectra, list(split_of))
        is_near = found_db < BOUND_DB
        alike += is_near and name in split_of
        state = split_of.get(name, "too near" if is_near else "not chosen")
        print(f"{name:16} {found_db:5.2f} dB from {other:16} {state}")  # noqa: T201 - output of a command
    return 1 if alike else 0


if __name__ == "__main__":
    raise SystemExit(main())
