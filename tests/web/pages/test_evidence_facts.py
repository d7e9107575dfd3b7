"""The evidence of a verdict in short phrases."""

import numpy as np

from amd_service.detection.audio.activity import measure_activity
from amd_service.detection.evidence.measure import measure_evidence
from amd_service.domain import Heard
from amd_service.lab.evidence.signals import information_tone
from amd_service.web.pages.evidence_facts import HEARD, evidence_facts
from tests.support.signals import CLIPS, at_8_khz, read_clip, silence, tone

GREETING = read_clip(next(path for path in CLIPS if path.name == "greeting-espeak-m3.wav"))


def facts(*pieces: np.ndarray) -> dict[str, str]:
    activity = measure_activity(at_8_khz(*pieces), length_ms=20_000)
    assert activity is not None
    return dict(evidence_facts(measure_evidence(activity).as_dict()))


def test_a_greeting_with_a_beep_has_a_rhythm_and_a_beep() -> None:
    found = facts(GREETING, silence(0.5), tone((1000.0,), 0.5), silence(1))
    assert found["Beep"] == "at 3.5 s, 0.5 s long, 1000 Hz"
    assert "of silence at the end" in found["Rhythm"]
    assert set(found) == {"Rhythm", "Beep"}


def test_a_call_that_holds_only_tones_is_named() -> None:
    found = facts(silence(0.5), information_tone("vacant"), silence(1))
    assert found["Tones"] == "information tone (vacant)"
    assert found["Only sound"] == "information tone: the number does not exist"
    assert found["Rhythm"].startswith("no speech in")


def test_a_verdict_without_evidence_has_no_facts() -> None:
    assert evidence_facts(None) == []


def test_every_kind_of_sound_has_a_phrase() -> None:
    assert set(HEARD) == set(Heard)
