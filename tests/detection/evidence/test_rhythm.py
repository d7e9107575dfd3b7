"""Rhythm of speech and pauses."""

import pytest

from amd_service.detection.audio.activity import measure_activity
from amd_service.detection.evidence.measure import measure_evidence
from amd_service.detection.evidence.rhythm import measure_rhythm
from tests.support.signals import CLIPS, at_8_khz, read_clip, silence

HELLO = next(path for path in CLIPS if path.name == "hello-espeak-f3.wav")


def test_stretches_and_pauses_are_measured_within_the_first_eight_seconds() -> None:
    rhythm = measure_rhythm([(500, 1500), (3000, 3600), (7000, 12_000)], 15_000)
    assert (rhythm.audio_ms, rhythm.speech_at_ms, rhythm.first_burst_ms) == (8000, 500, 1000)
    assert (rhythm.longest_run_ms, rhythm.pauses, rhythm.longest_pause_ms) == (1000, 2, 3400)
    assert rhythm.speech_share == pytest.approx(2600 / 8000, abs=0.001)
    assert rhythm.trailing_silence_ms == 0


def test_audio_without_speech_is_all_silence() -> None:
    rhythm = measure_rhythm([], 5_000)
    assert rhythm.speech_at_ms is None
    assert (rhythm.speech_share, rhythm.trailing_silence_ms) == (0, 5_000)


def test_a_hello_with_a_second_hello_after_two_seconds_has_one_pause() -> None:
    hello = read_clip(HELLO)
    activity = measure_activity(at_8_khz(silence(1), hello, silence(2), hello, silence(1)), length_ms=20_000)
    assert activity is not None
    rhythm = measure_evidence(activity).rhythm
    assert rhythm.speech_at_ms == pytest.approx(1000, abs=150)
    assert rhythm.pauses == 1
    assert rhythm.longest_pause_ms == pytest.approx(2000, abs=300)
    assert rhythm.trailing_silence_ms == pytest.approx(1000, abs=250)
