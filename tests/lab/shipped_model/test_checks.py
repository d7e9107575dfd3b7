import random

import numpy as np
import pytest

from amd_service.detection.decision import Policy
from amd_service.domain import Anchor
from amd_service.lab.shipped_model.checks import (
    Check,
    Model,
    as_markdown,
    draw_announcer,
    draw_other_sound,
    measure_accidents,
    measure_announcers,
    measure_other_sounds,
    measure_rules,
)
from amd_service.lab.shipped_model.simple_rules import (
    ACCIDENTS,
    DrawnCall,
    draw_calls,
    loudness_db,
    measure_rule,
    seconds_of_speech,
)
from amd_service.lab.synthesis.corpus import Corpus
from amd_service.lab.synthesis.voices import Split

POLICY = Policy(0.7, 0.7, 2000, 5000, Anchor.AUTO)
SURE, UNSURE = Model(lambda _: 0.99, POLICY), Model(lambda _: 0.5, POLICY)


@pytest.fixture(scope="module")
def drawn(small_corpus: Corpus) -> tuple[list[DrawnCall], list[DrawnCall]]:
    """Calls to learn from, and calls to test on. In the small corpus greetings are four times as long as answers."""
    learn, test = (
        draw_calls(small_corpus, split, seconds=5.0, count=40, seed=1) for split in (Split.TRAIN, Split.TEST)
    )
    return learn, test


def test_other_sounds_have_the_window_s_length_and_are_of_several_kinds() -> None:
    sounds = [draw_other_sound(2.0, random.Random(seed)) for seed in range(40)]
    assert {len(sound) for sound in sounds} == {16_000}
    assert all(np.isfinite(sound).all() for sound in sounds)
    assert 1 <= sum(not sound.any() for sound in sounds) < 20


def test_a_model_that_is_sure_of_everything_fails_if_speech_is_found_in_other_sounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("amd_service.lab.shipped_model.trials.speech_onset_ms", lambda _: 500)
    sure, alone = measure_other_sounds(SURE, count=10, seed=1)
    assert (sure.found.count, sure.passed) == (10, False)
    assert (alone.found.count, alone.passed) == (10, None)
    unsure, _ = measure_other_sounds(UNSURE, count=10, seed=1)
    assert (unsure.found.count, unsure.passed) == (0, True)


def test_the_onset_search_keeps_most_other_sounds_from_the_model() -> None:
    served, alone = measure_other_sounds(SURE, count=60, seed=1)
    assert alone.found.count == 60
    assert served.found.count < 15


def test_an_announcer_says_two_short_things_and_is_silent(small_corpus: Corpus) -> None:
    heard = draw_announcer(small_corpus, 5.0, random.Random(1))
    assert 7.0 < len(heard) / 8000 < 20
    assert np.abs(heard).max() <= 1


def test_the_thresholds_of_the_model_decide_about_announcers(
    small_corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    loud = "amd_service.lab.shipped_model.trials.speech_onset_ms"
    monkeypatch.setattr(loud, lambda _: 500)  # the noise bursts of the small corpus are no speech
    strict = Model(lambda _: 0.8, Policy(0.7, 0.9, 2000, 5000, Anchor.AUTO))
    called = [
        measure_announcers(model, small_corpus, count=3, seed=1).found.count
        for model in (Model(lambda _: 0.8, POLICY), strict)
    ]
    assert called == [3, 0]


def test_the_length_of_speech_predicts_the_label_and_the_level_does_not(
    drawn: tuple[list[DrawnCall], list[DrawnCall]],
) -> None:
    speech, level = (measure_rule(measure, *drawn).share or 0.0 for measure in (seconds_of_speech, loudness_db))
    assert speech > 0.7
    assert level < speech


def test_a_model_without_knowledge_does_not_beat_the_rules(drawn: tuple[list[DrawnCall], list[DrawnCall]]) -> None:
    model, *rules = measure_rules(SURE, *drawn)
    assert model.passed is None
    assert not next(rule for rule in rules if rule.name == "rule: seconds of speech").passed


def test_a_label_that_an_accident_gives_away_is_found(drawn: tuple[list[DrawnCall], list[DrawnCall]]) -> None:
    found = {check.name: check for check in measure_accidents(*drawn)}
    assert set(found) == {f"accident: {name}" for name in (*ACCIDENTS, "language")}
    leaking = measure_rule(lambda call: float(call.start.label == "voicemail"), *drawn)
    assert leaking.share == 1.0


@pytest.mark.slow
def test_no_accidental_quantity_of_the_drawn_calls_predicts_the_label(small_corpus: Corpus) -> None:
    learn, test = (
        draw_calls(small_corpus, split, seconds=5.0, count=200, seed=2) for split in (Split.TRAIN, Split.TEST)
    )
    assert [check.name for check in measure_accidents(learn, test) if not check.passed] == []


def test_the_table_names_each_check_with_interval_bound_and_result(
    drawn: tuple[list[DrawnCall], list[DrawnCall]],
) -> None:
    found = measure_rule(seconds_of_speech, *drawn)
    table = as_markdown([Check("sounds", found, "at most 5%", passed=False)])
    assert table.splitlines()[-1].endswith("/40 | at most 5% | FAIL |")
