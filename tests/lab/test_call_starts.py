import random
from collections import Counter

import numpy as np
import pytest

from amd_service.domain import Label
from amd_service.lab.augmentation.chain import NO_EFFECTS
from amd_service.lab.synthesis import tones
from amd_service.lab.synthesis.call_starts import SOUNDS, Style, build_call_start
from amd_service.lab.synthesis.corpus import Corpus
from amd_service.lab.synthesis.examples import draw_example, draw_recordings
from amd_service.lab.synthesis.render import RATE_HZ
from amd_service.lab.synthesis.voices import Split


@pytest.mark.parametrize("seconds", [1.0, 2.0, 5.0])
def test_windows_have_the_requested_length(small_corpus: Corpus, seconds: float) -> None:
    rng = random.Random(1)
    lengths = {len(draw_example(small_corpus, Split.TRAIN, seconds, rng).samples) for _ in range(40)}
    assert lengths == {round(seconds * 16_000)}


def test_the_same_seed_draws_the_same_windows(small_corpus: Corpus) -> None:
    first, second = (draw_example(small_corpus, Split.TRAIN, 2.0, random.Random(5)) for _ in range(2))
    assert np.array_equal(first.samples, second.samples)
    assert first.target == second.target


def test_windows_are_finite_and_within_full_scale(small_corpus: Corpus) -> None:
    rng = random.Random(2)
    for _ in range(60):
        samples = draw_example(small_corpus, Split.TRAIN, 2.0, rng).samples
        assert np.isfinite(samples).all()
        assert np.abs(samples).max() < 1.5  # the resampler overshoots at clipped peaks


def test_samples_of_the_class_silence_are_silent(small_corpus: Corpus) -> None:
    rng = random.Random(1)
    for _ in range(60):
        example = draw_example(small_corpus, Split.TRAIN, 5.0, rng, Style(chances=NO_EFFECTS))
        energy = example.samples.astype(float) ** 2
        assert energy[np.repeat(example.sounds, 2) == SOUNDS.index("silence")].sum() <= 1e-3 * energy.sum()


def test_labels_are_equally_likely_and_windows_without_speech_have_no_label(small_corpus: Corpus) -> None:
    rng = random.Random(3)
    drawn = [draw_example(small_corpus, Split.TRAIN, 1.0, rng) for _ in range(400)]
    counts = Counter(one.label for one in drawn)
    assert abs(counts[Label.HUMAN] - counts[Label.VOICEMAIL]) < 80
    assert counts[Label.UNDECIDED] > 5
    assert all(one.target == 0.5 for one in drawn if one.label is Label.UNDECIDED)


def test_a_split_uses_only_its_own_voices(small_corpus: Corpus) -> None:
    call_starts = [call_start for call_start, _ in draw_recordings(small_corpus, Split.TEST, 2.0, seed=1, count=30)]
    assert {call_start.voice.split for call_start in call_starts if call_start.voice} == {Split.TEST}


def test_a_screening_assistant_speaks_in_undecided_calls_only_if_the_style_says_so(small_corpus: Corpus) -> None:
    rng = random.Random(6)
    for style, has_speech in ((Style(), False), (Style(screening=1.0), True)):
        for _ in range(10):
            call_start = build_call_start(small_corpus, Split.TRAIN, Label.UNDECIDED, 2.0, rng, style)
            assert call_start.label is Label.UNDECIDED
            assert call_start.speech.any() == has_speech


def test_the_onset_of_a_call_start_is_its_first_speech_sample(small_corpus: Corpus) -> None:
    rng = random.Random(4)
    for _ in range(30):
        call_start = build_call_start(small_corpus, Split.TRAIN, Label.VOICEMAIL, 2.0, rng)
        assert call_start.onset_s is not None
        onset = round(call_start.onset_s * RATE_HZ)
        assert call_start.speech[onset]
        assert not call_start.speech[:onset].any()
        assert len(call_start.samples) == onset + round(2.5 * RATE_HZ)


def test_a_ringback_that_was_answered_ends_inside_a_ring() -> None:
    for kind in range(len(tones.RINGBACKS)):
        ring = tones.ringback(1.5, kind)
        assert len(ring) == round(1.5 * RATE_HZ)
        assert np.abs(ring[-800:]).max() > 0.05
