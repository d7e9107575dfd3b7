"""Verdicts on recordings, with real audio processing and a stub engine."""

import asyncio
import hashlib
from typing import Any

import numpy as np
import pytest

from amd_service.detection.audio.input import AudioInput
from amd_service.detection.classifier.request_queue import Priority
from amd_service.detection.detector import Detector
from amd_service.domain import Anchor, Label, Reason, Verdict
from amd_service.errors import ClassifierUnavailable, ModelFailed, Undecodable
from tests.support.detectors import ready, speech, started
from tests.support.models import RATE_HZ, StubEngine
from tests.support.signals import Array, file_of, noise, silence, tone

pytestmark = pytest.mark.anyio

Clip = np.ndarray[Any, Any]


async def judge(detector: Detector, samples: Array | bytes, *, channel: int | None = None) -> Verdict:
    data = samples if isinstance(samples, bytes) else file_of(samples)
    audio = AudioInput(data=data, content_type="audio/x-wav", channel=channel, one_sided=True)
    return await detector.judge(audio, priority=Priority.RECORDING)


def unsure_below(seconds: float) -> StubEngine:
    """Logits with low confidence for short windows and with high confidence of voicemail for longer windows."""
    return StubEngine(lambda clip: (0.1, 0.0) if len(clip) < seconds * RATE_HZ else (0.0, 4.0))


async def test_immediate_speech_is_judged_on_the_first_two_seconds() -> None:
    engine = StubEngine()
    data = file_of(speech(6.0))
    async with ready(engine) as detector:
        verdict = await judge(detector, data)
    assert engine.calls == [[2.0]]
    assert (verdict.label, verdict.reason) == (Label.HUMAN, Reason.CONFIDENT)
    assert verdict.confidence == verdict.runs[0].scores.human
    assert (verdict.runs[0].window_start_ms, verdict.runs[0].window_ms) == (0, 2000)
    assert verdict.onset_ms is not None
    assert verdict.onset_ms < 200
    assert (verdict.channel, verdict.channels_mixed) == (1, False)
    assert verdict.audio_sha256 == hashlib.sha256(data).hexdigest()
    assert verdict.policy["window_ms"] == 2000


async def test_late_speech_moves_the_window() -> None:
    async with ready(StubEngine()) as detector:
        verdict = await judge(detector, speech(4.0, after_s=7.0))
    assert verdict.onset_ms == pytest.approx(7000, abs=100)
    assert verdict.runs[0].window_start_ms == (verdict.onset_ms or 0) - 200


@pytest.mark.parametrize("anchor", list(Anchor))
async def test_the_model_does_not_run_on_audio_without_speech(anchor: Anchor) -> None:
    engine = StubEngine()
    async with ready(engine, window_anchor=anchor) as detector:
        for samples in (silence(6.0), tone((440.0, 480.0), 6.0), noise(6.0, -50)):
            verdict = await judge(detector, samples)
            assert (verdict.label, verdict.reason) == (Label.UNDECIDED, Reason.NO_SPEECH)
            assert (verdict.confidence, verdict.onset_ms, verdict.runs) == (None, None, ())
    assert engine.calls == []


async def test_less_than_one_second_is_always_too_short() -> None:
    engine = StubEngine()
    async with ready(engine) as detector:
        for samples in (speech(0.9), silence(0.5)):
            verdict = await judge(detector, samples)
            assert (verdict.label, verdict.reason, verdict.confidence) == (Label.UNDECIDED, Reason.TOO_SHORT, None)
    assert engine.calls == []


async def test_audio_between_one_and_two_seconds_is_scored_without_padding() -> None:
    engine = StubEngine()
    async with ready(engine) as detector:
        await judge(detector, speech(1.3))
    assert engine.calls == [[1.3]]


async def test_a_window_near_the_end_starts_earlier() -> None:
    engine = StubEngine()
    async with ready(engine) as detector:
        verdict = await judge(detector, speech(0.6, after_s=5.0))
    assert engine.calls == [[1.0]]
    assert verdict.runs[0].window_start_ms == 4600
    assert verdict.onset_ms == pytest.approx(5000, abs=100)


async def test_an_unsure_run_is_repeated_with_a_longer_window_and_both_are_kept() -> None:
    engine = unsure_below(5.0)
    async with ready(engine) as detector:
        verdict = await judge(detector, speech(8.0))
    assert engine.calls == [[2.0], [5.0]]
    assert (verdict.label, verdict.reason) == (Label.VOICEMAIL, Reason.CONFIDENT)
    assert [run.window_ms for run in verdict.runs] == [2000, 5000]
    assert verdict.confidence == verdict.runs[1].scores.voicemail


async def test_two_unsure_runs_are_undecided() -> None:
    engine = unsure_below(60.0)
    async with ready(engine) as detector:
        verdict = await judge(detector, speech(3.5))
    assert engine.calls == [[2.0], [3.5]]
    assert (verdict.label, verdict.reason) == (Label.UNDECIDED, Reason.LOW_CONFIDENCE)
    assert verdict.confidence == max(verdict.runs[1].scores.as_dict().values())


async def test_the_same_audio_is_not_scored_twice() -> None:
    engine = unsure_below(60.0)
    async with ready(engine) as detector:
        verdict = await judge(detector, speech(1.8))
    assert engine.calls == [[1.8]]
    assert verdict.reason is Reason.LOW_CONFIDENCE


async def test_the_requested_channel_is_judged() -> None:
    engine = StubEngine()
    stereo = np.stack([silence(4.0), speech(4.0)], axis=1)
    async with ready(engine) as detector:
        ours = await judge(detector, stereo, channel=1)
        theirs = await judge(detector, stereo, channel=2)
        mixed = await judge(detector, stereo)
    assert (ours.reason, ours.channel) == (Reason.NO_SPEECH, 1)
    assert (theirs.reason, theirs.channel, theirs.channels_mixed) == (Reason.CONFIDENT, 2, False)
    assert (mixed.channel, mixed.channels_mixed) == (None, True)


async def test_undecodable_data_is_an_error_and_never_a_label() -> None:
    async with ready(StubEngine()) as detector:
        with pytest.raises(Undecodable):
            await judge(detector, b"<html>not found</html>")


async def test_nan_from_the_model_is_an_error_and_never_a_label() -> None:
    engine = StubEngine()
    async with ready(engine) as detector:
        engine.answer = lambda _: (float("nan"), 0.0)
        with pytest.raises(ModelFailed):
            await judge(detector, speech(3.0))


async def test_nothing_is_judged_before_the_model_is_ready() -> None:
    engine = StubEngine()
    engine.free.clear()
    async with started(engine) as detector:
        await asyncio.to_thread(engine.entered.acquire)
        assert not detector.is_ready
        with pytest.raises(ClassifierUnavailable, match="not ready"):
            await judge(detector, speech(3.0))
        engine.free.set()
        await detector.wait_ready()
        assert (await judge(detector, speech(3.0))).reason is Reason.CONFIDENT


async def test_a_download_is_sufficient_with_search_range_and_longest_window() -> None:
    long = file_of(np.concatenate([speech(3.0), silence(27.0)]))
    async with ready(StubEngine()) as detector:
        second = 2 * 8000
        assert not detector.has_enough_audio(long[: 19 * second])
        assert detector.has_enough_audio(long[: 21 * second])
        head, whole = await judge(detector, long[: 21 * second]), await judge(detector, long)
    assert head.runs[0].scores == whole.runs[0].scores
