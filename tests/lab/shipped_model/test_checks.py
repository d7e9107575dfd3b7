import random

import numpy as np

from amd_service.lab.shipped_model.checks import (
    accuracy_of_best_threshold,
    draw_other_sound,
    loudness_db,
    seconds_of_speech,
    share_of_other_sounds_labelled,
)
from amd_service.lab.synthesis.corpus import Corpus


def test_other_sounds_have_the_window_s_length_and_are_of_several_kinds() -> None:
    sounds = [draw_other_sound(2.0, random.Random(seed)) for seed in range(40)]
    assert {len(sound) for sound in sounds} == {16_000}
    assert all(np.isfinite(sound).all() for sound in sounds)
    assert 1 <= sum(not sound.any() for sound in sounds) < 20


def test_a_model_that_is_sure_of_everything_labels_other_sounds() -> None:
    sure = share_of_other_sounds_labelled(lambda _: 0.99, window_ms=2000, count=10, seed=1)
    unsure = share_of_other_sounds_labelled(lambda _: 0.5, window_ms=2000, count=10, seed=1)
    assert sure.high == 1.0
    assert sure.low > 0.7
    assert unsure.high < 0.3


def test_the_length_of_speech_predicts_the_label_and_the_level_does_not(small_corpus: Corpus) -> None:
    """In the small corpus greetings are four times as long as answers."""
    speech, level = (
        accuracy_of_best_threshold(small_corpus, measure, seconds=5.0, count=40, seed=1)
        for measure in (seconds_of_speech, loudness_db)
    )
    assert speech > 0.7
    assert level < speech
