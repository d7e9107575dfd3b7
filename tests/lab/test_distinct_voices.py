from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from amd_service.lab.synthesis.distinct_voices import (
    BOUND_DB,
    distance_db,
    installed_variants,
    mean_spectrum,
    measure,
    nearest,
)
from amd_service.lab.synthesis.voices import ESPEAK_VARIANTS, Split


@pytest.mark.slow
def test_the_level_does_not_make_voices_distinct_and_the_spectrum_does() -> None:
    noise = np.random.default_rng(1).standard_normal(8000).astype(np.float32)
    dull = np.convolve(noise, np.ones(8) / 8, mode="same").astype(np.float32)
    bright = mean_spectrum(noise)
    assert distance_db(bright, mean_spectrum(noise * np.float32(0.1))) < 0.1
    assert distance_db(bright, mean_spectrum(dull)) > BOUND_DB


def test_a_variant_is_not_its_own_neighbour() -> None:
    spectra = {name: np.full(40, level, np.float32) for name, level in (("m1", 0), ("m2", 1), ("m3", 5))}
    assert nearest("m1", spectra, ["m1", "m2", "m3"]) == (1.0, "m2")


def test_variants_with_a_space_in_their_name_are_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "x86" / "espeak-ng-data" / "voices" / "!v"
    folder.mkdir(parents=True)
    for name in ("m1", "Mr serious"):
        (folder / name).touch()
    assert installed_variants(tmp_path) == ["m1"]


@pytest.mark.slow
@pytest.mark.speech_engines
def test_no_variant_of_the_test_sounds_like_one_of_the_training() -> None:
    spectra = measure([name for names in ESPEAK_VARIANTS.values() for name in names])
    for first, second in combinations(Split, 2):
        for name in ESPEAK_VARIANTS[second]:
            assert nearest(name, spectra, ESPEAK_VARIANTS[first])[0] >= BOUND_DB
