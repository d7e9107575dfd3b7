"""A Media Stream gets the verdict of its recording."""

import asyncio
import audioop
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amd_service.detection.audio.decode import decode
from amd_service.detection.audio.input import AudioInput
from amd_service.detection.classifier.model_windows import ModelWindows
from amd_service.detection.classifier.request_queue import Priority
from amd_service.detection.detector import Detector
from amd_service.detection.live_stream import CONTENT_TYPE, LiveStream
from amd_service.domain import Label, Reason, Verdict
from amd_service.errors import ClassifierUnavailable, Undecodable
from tests.support.detectors import ready, speech, started
from tests.support.models import RATE_HZ, StubEngine
from tests.support.signals import Array, noise, silence, tone

pytestmark = pytest.mark.anyio

FIXTURES = Path(__file__).parents[2] / "fixtures" / "calls"
FRAME = 160


def mulaw(samples: Array) -> bytes:
    return audioop.lin2ulaw((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes(), 2)


def distinct(clip: Array) -> tuple[float, float]:
    """Logits that differ for any two windows and have low confidence for about half of the windows."""
    return float(np.abs(np.sin(1e5 * clip.astype(np.float64).sum()))) * 2, 0.0


async def judge(detector: Detector, audio: bytes) -> Verdict:
    return await detector.judge(
        AudioInput(data=audio, content_type=CONTENT_TYPE, one_sided=True), priority=Priority.RECORDING
    )


async def stream(detector: Detector, audio: bytes, piece: int = FRAME) -> tuple[Verdict, int | None]:
    """The verdict, and the ms of audio received when it became final; None if the audio ended before."""
    live = LiveStream(detector)
    for at in range(0, len(audio), piece):
        verdict = await live.feed(audio[at : at + piece])
        if verdict is not None:
            return verdict, live.received_ms
    return await live.finish(), None


def essentials(verdict: Verdict) -> tuple[object, ...]:
    windows = [(run.scores, run.window_start_ms, run.window_ms) for run in verdict.runs]
    return verdict.label, verdict.reason, verdict.confidence, verdict.onset_ms, windows


async def test_every_recorded_call_gets_the_same_verdict_as_a_stream() -> None:
    recordings = [path for path in sorted(FIXTURES.glob("*/recording.*")) if path.suffix in (".wav", ".mp3")]
    assert len(recordings) > 20
    early = 0
    async with ready(StubEngine(distinct)) as detector:
        for path in recordings:
            tracks = decode(path.read_bytes())
            if tracks.rate_hz == 8000:
                audio = mulaw(tracks.samples[0])
                verdict, final_at_ms = await stream(detector, audio)
                assert essentials(verdict) == essentials(await judge(detector, audio)), path
                early += final_at_ms is not None
    assert early > 15


SECONDS = st.floats(0.05, 3)
PIECES = st.lists(
    st.one_of(
        st.builds(silence, SECONDS),
        st.builds(noise, SECONDS, st.sampled_from([-55, -35]), st.integers(0, 9)),
        st.builds(tone, st.just((440.0, 480.0)), SECONDS),
        st.builds(speech, SECONDS),
    ),
    min_size=1,
    max_size=6,
)


def test_any_stream_gets_the_verdict_of_its_recording() -> None:
    async def check(pieces: list[Array], window_ms: int, anchor: str, piece: int) -> None:
        audio = mulaw(np.concatenate(pieces))
        async with ready(StubEngine(distinct), window_ms=window_ms, window_anchor=anchor) as detector:
            verdict, _ = await stream(detector, audio, piece)
            assert essentials(verdict) == essentials(await judge(detector, audio))

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(
        PIECES, st.sampled_from([1000, 2000, 5000]), st.sampled_from(["auto", "answer", "onset"]), st.integers(80, 900)
    )
    def property_holds(pieces: list[Array], window_ms: int, anchor: str, piece: int) -> None:
        asyncio.run(check(pieces, window_ms, anchor, piece))

    property_holds()


@pytest.mark.parametrize("after_s", [0.0, 0.5, 3.0])
async def test_a_confident_verdict_is_final_after_two_seconds_of_speech(after_s: float) -> None:
    engine = StubEngine()
    async with ready(engine) as detector:
        verdict, final_at_ms = await stream(detector, mulaw(speech(8.0, after_s=after_s)))
    assert verdict.reason is Reason.CONFIDENT
    assert engine.calls == [[2.0]]
    assert final_at_ms is not None
    assert verdict.onset_ms is not None
    assert 2000 <= final_at_ms - verdict.onset_ms <= 2100


async def test_an_unsure_first_window_waits_for_the_long_window() -> None:
    engine = StubEngine(lambda clip: (0.1, 0.0) if len(clip) < 5 * RATE_HZ else (0.0, 4.0))
    async with ready(engine) as detector:
        verdict, final_at_ms = await stream(detector, mulaw(speech(9.0)))
    assert (verdict.label, verdict.reason, len(verdict.runs)) == (Label.VOICEMAIL, Reason.CONFIDENT, 2)
    assert final_at_ms is not None
    assert 5000 <= final_at_ms - (verdict.onset_ms or 0) <= 5100


def unsure_below(seconds: float) -> Callable[[Array], tuple[float, float]]:
    """Logits with low confidence for short windows and with high confidence of voicemail for longer windows."""
    return lambda clip: (0.1, 0.0) if len(clip) < seconds * RATE_HZ else (0.0, 4.0)


LONGER = ModelWindows(window_ms=5000, long_window_ms=8000)


async def test_a_model_with_long_windows_keeps_its_early_look_at_a_live_call() -> None:
    engine = StubEngine()
    async with ready(engine, windows=LONGER) as detector:
        verdict, final_at_ms = await stream(detector, mulaw(speech(9.0)))
    assert (verdict.reason, [run.window_ms for run in verdict.runs]) == (Reason.CONFIDENT, [2000])
    assert final_at_ms is not None
    assert 2000 <= final_at_ms - (verdict.onset_ms or 0) <= 2100


async def test_an_unsure_early_look_waits_for_the_first_and_then_for_the_second_window() -> None:
    for sure_from_s, windows, final_at in ((5, [5000], 5000), (8, [5000, 8000], 8000)):
        engine = StubEngine(unsure_below(sure_from_s))
        async with ready(engine, windows=LONGER) as detector:
            audio = mulaw(speech(10.0))
            verdict, final_at_ms = await stream(detector, audio)
            assert essentials(verdict) == essentials(await judge(detector, audio))
        assert [run.window_ms for run in verdict.runs] == windows
        assert final_at <= (final_at_ms or 0) - (verdict.onset_ms or 0) <= final_at + 100


async def test_silence_is_final_when_more_audio_cannot_change_the_verdict() -> None:
    engine = StubEngine()
    async with ready(engine) as detector:
        verdict, final_at_ms = await stream(detector, mulaw(silence(40.0)))
        assert final_at_ms == detector.max_audio_ms
    assert (verdict.label, verdict.reason, engine.calls) == (Label.UNDECIDED, Reason.NO_SPEECH, [])


async def test_an_early_end_gives_the_verdict_of_a_short_recording() -> None:
    async with ready(StubEngine()) as detector:
        short, final_at_ms = await stream(detector, mulaw(speech(0.7)))
        assert (short.label, short.reason, final_at_ms) == (Label.UNDECIDED, Reason.TOO_SHORT, None)
        some, _ = await stream(detector, mulaw(speech(1.4)))
        assert (some.reason, some.runs[0].window_ms) == (Reason.CONFIDENT, 1400)


async def test_a_stream_without_audio_has_no_verdict() -> None:
    async with ready(StubEngine()) as detector:
        with pytest.raises(Undecodable):
            await LiveStream(detector).finish()


async def test_a_classifier_that_is_still_loading_is_retried() -> None:
    engine = StubEngine()
    engine.free.clear()
    audio = mulaw(speech(9.0))
    async with started(engine) as detector:
        live = LiveStream(detector)
        for at in range(0, 8 * 3000, FRAME):
            assert await live.feed(audio[at : at + FRAME]) is None
        with pytest.raises(ClassifierUnavailable):
            await live.finish()
        engine.free.set()
        await detector.wait_ready_or_raise()
        verdicts = [await live.feed(audio[at : at + FRAME]) for at in range(8 * 3000, 8 * 4000, FRAME)]
        verdict = next(filter(None, verdicts))
        assert essentials(verdict) == essentials(await judge(detector, audio))


async def test_audio_that_cannot_change_the_verdict_is_not_kept() -> None:
    async with started(StubEngine()) as detector:
        live = LiveStream(detector)
        for _ in itertools.repeat(None, 60):
            await live.feed(mulaw(silence(1.0)))
        assert live.received_ms == 60_000
        assert live.kept_ms == detector.max_audio_ms
