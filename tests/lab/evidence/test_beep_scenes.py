"""Recall and false alarms of the search for beeps, on drawn scenes."""

import pytest

from amd_service.lab.evidence.scenes import draw_scenes
from amd_service.lab.evidence.score import score_beeps
from amd_service.lab.evidence.speech import render_speech
from amd_service.lab.synthesis.voices import Split
from tests.support.signals import CLIPS, read_clip


def test_the_same_seed_draws_the_same_scenes() -> None:
    clips = [read_clip(path) for path in CLIPS]
    first, second = (list(draw_scenes(clips, 3, 6)) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert (one.kind, one.beep_ms) == (other.kind, other.beep_ms)
        assert (one.samples == other.samples).all()


def test_beeps_are_found_in_a_sample_of_scenes() -> None:
    score = score_beeps(draw_scenes([read_clip(path) for path in CLIPS], 4, 60))
    assert score.beeps == 30
    assert score.recall >= 0.9
    assert score.false_alarms.total() <= 1


@pytest.mark.slow
@pytest.mark.soak
def test_beeps_are_found_in_two_thousand_scenes_with_at_most_one_false_alarm_an_hour() -> None:
    # The thresholds were chosen with seed 1 and voices of all splits.
    score = score_beeps(draw_scenes(render_speech(Split.TEST, 2, 100), 2, 2000))
    assert score.beeps == 1000
    assert score.recall >= 0.96
    assert score.false_alarms_per_hour <= 1
    assert max(score.errors_ms) <= 50
