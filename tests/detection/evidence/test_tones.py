"""Signals of exchanges and machines, and the kind of a call without speech."""

import json
import random

import numpy as np
import pytest

from amd_service.detection.audio.activity import measure_activity
from amd_service.detection.evidence.findings import Evidence, Fax
from amd_service.detection.evidence.measure import measure_evidence
from amd_service.domain import Heard
from amd_service.lab.evidence.signals import (
    BUSY_TONES,
    RINGBACKS,
    SIT,
    answer_tone,
    cadence,
    calling_tone,
    information_tone,
    music,
    touch_tones,
)
from tests.support.signals import CLIPS, Array, at_8_khz, noise, read_clip, silence, through_mulaw, tone


def evidence(*pieces: Array) -> Evidence:
    sound = np.concatenate(pieces)
    quiet = through_mulaw(sound * np.float32(0.3) + noise(len(sound) / 8000 + 1, -55)[: len(sound)])
    activity = measure_activity(at_8_khz(quiet), length_ms=20_000)
    assert activity is not None
    return measure_evidence(activity)


@pytest.mark.parametrize("kind", RINGBACKS)
def test_ringback_of_several_countries_is_heard(kind: tuple[tuple[float, ...], tuple[float, ...]]) -> None:
    assert evidence(cadence(*kind, 8.0)).heard is Heard.RINGBACK


@pytest.mark.parametrize("kind", BUSY_TONES)
def test_busy_of_several_countries_is_heard(kind: tuple[tuple[float, ...], tuple[float, ...]]) -> None:
    assert evidence(cadence(*kind, 5.0)).heard is Heard.BUSY


@pytest.mark.parametrize("kind", SIT)
def test_information_tones_have_a_category(kind: str) -> None:
    found = evidence(silence(0.5), information_tone(kind), silence(1))
    assert found.heard == f"sit_{kind}"
    assert found.tones.sit == kind


def test_an_announcement_after_information_tones_is_speech() -> None:
    found = evidence(information_tone("vacant"), silence(0.3), *[read_clip(path) for path in CLIPS[:3]])
    assert found.tones.sit == "vacant"
    assert found.heard is None


def test_fax_signals_are_heard() -> None:
    assert evidence(calling_tone(8.0)).tones.fax is Fax.CNG
    answering = evidence(silence(1), answer_tone(random.Random(1)), silence(1))
    assert (answering.tones.fax, answering.heard) == (Fax.CED, Heard.FAX)


def test_touch_tones_are_read() -> None:
    sound = touch_tones(random.Random(2), "159*0#84")
    assert evidence(silence(0.3), sound, silence(0.5)).tones.dtmf == "159*0#84"


def test_music_is_heard() -> None:
    found = evidence(music(random.Random(5), 8.0))
    assert (found.music.is_music, found.heard) == (True, Heard.MUSIC)


@pytest.mark.parametrize("clip", CLIPS, ids=lambda path: path.stem)
def test_speech_is_neither_tone_nor_music(clip: object) -> None:
    found = evidence(*[read_clip(clip), silence(0.2)] * 3)  # type: ignore[arg-type]  # a path
    assert (found.heard, found.beep, found.tones.tone_ms, found.music.is_music) == (None, None, 0, False)


def test_silence_and_a_lone_beep_have_no_kind() -> None:
    assert evidence(silence(3)).heard is None
    assert evidence(silence(1), tone((1000.0,), 0.5), silence(1)).heard is None


def test_evidence_can_be_stored_as_json() -> None:
    stored = json.loads(json.dumps(evidence(information_tone("vacant"), silence(1)).as_dict()))
    assert stored["tones"]["sit"] == "vacant"
    assert set(stored) == {"audio_ms", "rhythm", "beep", "tones", "music", "heard"}
