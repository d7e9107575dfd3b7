"""The detector stores the evidence with a verdict, and its rules apply to recordings only."""

import numpy as np
import pytest

from amd_service.detection.audio.input import AudioInput
from amd_service.detection.classifier.request_queue import Priority
from amd_service.detection.detector import Detector
from amd_service.domain import Label, Reason, Verdict
from amd_service.lab.evidence.signals import cadence
from tests.support.detectors import ready
from tests.support.models import StubEngine
from tests.support.signals import CLIPS, Array, file_of, read_clip, silence, tone

pytestmark = pytest.mark.anyio

GREETING = read_clip(next(path for path in CLIPS if path.name == "greeting-espeak-m3.wav"))
WITH_BEEP = np.concatenate([silence(0.3), GREETING, silence(0.4), tone((1000.0,), 0.5), silence(2)])


def unsure(_: Array) -> tuple[float, float]:
    return 0.1, 0.0


async def judge(detector: Detector, samples: Array, *, is_live: bool = False) -> Verdict:
    audio = AudioInput(data=file_of(samples), one_sided=True)
    return await detector.judge(audio, priority=Priority.RECORDING, is_live=is_live)


async def test_a_beep_after_a_greeting_makes_an_undecided_recording_a_voicemail() -> None:
    async with ready(StubEngine(unsure), beep_evidence="undecided") as detector:
        verdict = await judge(detector, WITH_BEEP)
        live = await judge(detector, WITH_BEEP, is_live=True)
    assert (verdict.label, verdict.reason) == (Label.VOICEMAIL, Reason.BEEP)
    assert verdict.confidence == verdict.runs[-1].scores.voicemail
    assert len(verdict.runs) == 2
    assert verdict.evidence is not None
    assert verdict.policy["beep"] == "undecided"
    assert (live.label, live.reason, live.policy["beep"]) == (Label.UNDECIDED, Reason.LOW_CONFIDENCE, "off")


async def test_a_call_that_holds_only_tones_stays_undecided_and_is_named() -> None:
    busy = cadence((480.0, 620.0), (0.5, 0.5), 5.0) * np.float32(0.2)
    async with ready(StubEngine(unsure)) as detector:
        verdict = await judge(detector, busy)
    assert (verdict.label, verdict.reason) == (Label.UNDECIDED, Reason.NO_SPEECH)
    assert verdict.evidence is not None
    assert verdict.evidence["heard"] == "busy"
    async with ready(StubEngine(unsure), tone_evidence="off") as detector:
        verdict = await judge(detector, busy)
    assert verdict.evidence is not None
    assert verdict.evidence["heard"] is None


async def test_a_rhythm_that_contradicts_the_model_leads_to_the_longer_window_and_then_to_no_label() -> None:
    long_greeting = np.concatenate([GREETING, GREETING, GREETING])
    engine = StubEngine(lambda _: (3.0, 0.0))
    async with ready(engine, rhythm_evidence="abstain") as detector:
        verdict = await judge(detector, long_greeting)
    assert len(long_greeting) / 8 >= 6000
    assert (verdict.label, verdict.reason, len(verdict.runs)) == (Label.UNDECIDED, Reason.DISAGREEMENT, 2)
    async with ready(engine, rhythm_evidence="longer_window") as detector:
        verdict = await judge(detector, long_greeting)
    assert (verdict.label, verdict.reason, len(verdict.runs)) == (Label.HUMAN, Reason.CONFIDENT, 2)
