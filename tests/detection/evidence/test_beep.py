"""A beep is found after speech, and not in other tones."""

import numpy as np
import pytest

from amd_service.detection.audio.activity import measure_activity
from amd_service.detection.evidence.findings import Beep
from amd_service.detection.evidence.measure import measure_evidence
from tests.support.signals import CLIPS, Array, at_8_khz, noise, read_clip, silence, through_mulaw, tone

GREETING = read_clip(next(path for path in CLIPS if path.name == "greeting-espeak-m3.wav"))


def find(*pieces: Array) -> Beep | None:
    activity = measure_activity(at_8_khz(*pieces), length_ms=20_000)
    assert activity is not None
    return measure_evidence(activity).beep


@pytest.mark.parametrize("seconds", [0.1, 0.3, 1.0, 2.4])
@pytest.mark.parametrize("hz", [310.0, 440.0, 1000.0, 2480.0])
def test_a_beep_after_a_greeting_is_found_where_it_is(hz: float, seconds: float) -> None:
    sound = np.concatenate([GREETING, silence(0.5), tone((hz,), seconds), silence(1)])
    beep = find(through_mulaw(sound + noise(len(sound) / 8000, -50)))
    assert beep is not None
    assert beep.start_ms == pytest.approx((len(GREETING) / 8 + 500), abs=20)
    assert beep.length_ms == pytest.approx(seconds * 1000, abs=30)
    assert beep.frequency_hz == pytest.approx(hz, abs=5)
    assert beep.follows_speech


def test_the_last_of_two_beeps_is_reported() -> None:
    beep = find(GREETING, silence(0.4), tone((800.0,), 0.3), silence(0.3), tone((800.0,), 0.3), silence(1))
    assert beep is not None
    assert beep.start_ms == pytest.approx(len(GREETING) / 8 + 1000, abs=20)


def test_a_beep_after_a_long_pause_does_not_follow_speech() -> None:
    beep = find(GREETING, silence(6), tone((1000.0,), 0.4), silence(1))
    assert beep is not None
    assert not beep.follows_speech


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(tone((697.0, 1336.0), 0.3), id="touch tone"),
        pytest.param(tone((440.0, 480.0), 2.0), id="ringback"),
        pytest.param(np.concatenate([tone((425.0,), 0.5), silence(0.5)] * 4), id="busy"),
        pytest.param(np.concatenate([tone((1100.0,), 0.5), silence(3)] * 2), id="fax calls"),
        pytest.param(tone((2100.0,), 3.3), id="fax answers"),
        pytest.param(np.concatenate([tone((hz,), 0.33) for hz in (950.0, 1400.0, 1800.0)]), id="information tone"),
        pytest.param(tone((1000.0,), 3.0), id="too long"),
        pytest.param(tone((1000.0,), 0.05), id="too short"),
        pytest.param(tone((250.0,), 0.5), id="too low"),
        pytest.param(np.concatenate([tone((1000.0,), 0.5), GREETING]), id="speech follows at once"),
    ],
)
def test_other_sounds_after_speech_are_no_beep(after: Array) -> None:
    assert find(GREETING, silence(0.5), after, silence(1)) is None


def test_a_tone_without_speech_before_it_is_no_beep() -> None:
    assert find(silence(2), tone((1000.0,), 0.5), silence(2)) is None


def test_a_tone_that_the_audio_cuts_off_is_no_beep() -> None:
    assert find(GREETING, silence(0.5), tone((1000.0,), 0.5)) is None
