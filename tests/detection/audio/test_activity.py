"""The onset of speech is found; telephone signals are not speech."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from amd_service.detection.audio.activity import speech_onset_ms
from amd_service.domain import Waveform
from tests.support.signals import (
    CLIPS,
    RATE_HZ,
    Array,
    at_8_khz,
    noise,
    read_clip,
    silence,
    through_mulaw,
    tone,
)

NEAR_MS = 60
US_RING, UK_RING, EU_RING, US_BUSY = (440, 480), (400, 450), (425,), (480, 620)
DTMF = [(697, 1209), (770, 1336), (852, 1477), (941, 1336), (697, 1477)]
each_clip = pytest.mark.parametrize("clip", CLIPS, ids=lambda path: path.stem)


def cadence(frequencies_hz: tuple[float, ...], on_s: float, off_s: float, times: int, amplitude: float) -> Array:
    return np.concatenate([tone(frequencies_hz, on_s, amplitude), silence(off_s)] * times)


def telephone_sounds(amplitude: float) -> Iterator[tuple[str, Array]]:
    yield "US ringback", cadence(US_RING, 2, 4, 2, amplitude)
    uk_ring = [tone(UK_RING, 0.4, amplitude), silence(0.2), tone(UK_RING, 0.4, amplitude), silence(2)]
    yield "UK ringback", np.concatenate(uk_ring * 3)
    yield "EU ringback", cadence(EU_RING, 1, 4, 2, amplitude)
    yield "busy", cadence(US_BUSY, 0.5, 0.5, 6, amplitude)
    yield "reorder", cadence(US_BUSY, 0.25, 0.25, 12, amplitude)
    yield "EU busy", cadence(EU_RING, 0.25, 0.25, 12, amplitude)
    yield "dial tone", tone((350, 440), 5, amplitude)
    sit = [tone((hz,), seconds, amplitude) for hz, seconds in ((950, 0.33), (1400, 0.33), (1800, 0.33))]
    yield "SIT", np.concatenate([silence(0.5), *sit, silence(1)] * 2)
    yield "call waiting", cadence((440,), 0.3, 2, 3, amplitude)
    yield "fax calling", cadence((1100,), 0.5, 3, 2, amplitude)
    yield "fax answering", np.concatenate([silence(0.5), tone((2100,), 3, amplitude)])
    yield "mains hum", np.sum([tone((50 * k,), 5, amplitude / k) for k in range(1, 9)], axis=0)
    yield "hum that sets in", np.concatenate([silence(1), *[tone((60, 120, 180, 240, 300), 3, amplitude)]])
    for hz in (400, 620, 1000, 1400, 2000):
        for seconds in (0.12, 0.3, 0.9):
            yield f"beep {hz} Hz {seconds} s", np.concatenate([silence(1), tone((hz,), seconds, amplitude), silence(1)])


def other_noises() -> Iterator[tuple[str, Array]]:
    yield "digital silence", silence(10)
    yield "direct current", silence(5) + np.float32(0.3)
    yield "idle mu-law", through_mulaw(noise(5, -75))
    for dbfs in (-60, -30, -10):
        yield f"noise {dbfs}", noise(8, dbfs)
        yield f"noise {dbfs} that sets in", np.concatenate([silence(1), noise(4, dbfs)])
        yield f"burst of noise {dbfs}", np.concatenate([noise(2, -65), noise(0.4, dbfs), noise(2, -65, seed=1)])
    for hz in (130, 180, 260):
        buzz = np.sign(tone((hz,), 0.6)) * np.float32(0.2)
        yield f"buzzer {hz} Hz", np.concatenate([silence(1), buzz, silence(1)])
    clicks = silence(10)
    for at in np.random.default_rng(1).integers(0, len(clicks) - 60, 25):
        clicks[at : at + 40] = noise(0.005, -6, seed=int(at))
    yield "clicks", clicks
    for on_s, off_s in ((0.05, 0.05), (0.1, 0.1), (0.2, 0.1)):
        digits = [np.concatenate([tone(DTMF[i % 5], on_s, 0.4), silence(off_s)]) for i in range(11)]
        yield f"DTMF of {on_s} s", np.concatenate([silence(0.3), *digits])


SOUNDS = {f"{name} at {amplitude}": sound for amplitude in (0.02, 0.45) for name, sound in telephone_sounds(amplitude)}
SOUNDS |= {f"{name} clipped": np.clip(sound, -1, 1) for name, sound in telephone_sounds(1.5)}
SOUNDS |= dict(other_noises())


@pytest.mark.parametrize("name", SOUNDS)
def test_telephone_signals_are_not_speech(name: str) -> None:
    sound = SOUNDS[name].astype(np.float32)
    seconds = len(sound) / RATE_HZ
    assert speech_onset_ms(Waveform(sound, RATE_HZ)) is None
    assert speech_onset_ms(Waveform(through_mulaw(sound), RATE_HZ)) is None
    for dbfs in (-60, -40):
        assert speech_onset_ms(Waveform(sound + noise(seconds, dbfs)[: len(sound)], RATE_HZ)) is None


@each_clip
def test_speech_at_the_first_sample_has_onset_zero(clip: Path) -> None:
    assert speech_onset_ms(at_8_khz(read_clip(clip))) == pytest.approx(0, abs=NEAR_MS)


@each_clip
@pytest.mark.parametrize("lead_s", [0.3, 1.0, 2.55, 7.0])
def test_leading_silence_moves_the_onset_by_its_length(clip: Path, lead_s: float) -> None:
    onset_ms = speech_onset_ms(at_8_khz(silence(lead_s), read_clip(clip), silence(0.5)))
    assert onset_ms == pytest.approx(1000 * lead_s, abs=NEAR_MS)


@each_clip
@pytest.mark.parametrize("gain_db", [-25, -12, 12, 30])
def test_loudness_does_not_move_the_onset(clip: Path, gain_db: int) -> None:
    plain = np.concatenate([noise(1.2, -70), read_clip(clip) + noise(5, -70)[: len(read_clip(clip))]])
    loud = np.clip(plain * 10 ** (gain_db / 20), -1, 1)
    onset_ms = speech_onset_ms(at_8_khz(plain))
    assert onset_ms == pytest.approx(1200, abs=NEAR_MS)
    assert speech_onset_ms(at_8_khz(loud)) == pytest.approx(onset_ms, abs=NEAR_MS)


@each_clip
def test_mulaw_and_the_rate_do_not_move_the_onset(clip: Path) -> None:
    plain = np.concatenate([silence(1.2), read_clip(clip)])
    onset_ms = speech_onset_ms(at_8_khz(plain))
    assert onset_ms is not None
    assert speech_onset_ms(at_8_khz(through_mulaw(plain * np.float32(0.5)))) == pytest.approx(onset_ms, abs=NEAR_MS)
    doubled = Waveform(
        np.interp(np.arange(2 * len(plain)) / 2, np.arange(len(plain)), plain).astype(np.float32), 16_000
    )
    assert speech_onset_ms(doubled) == pytest.approx(onset_ms, abs=NEAR_MS)


@each_clip
@pytest.mark.parametrize("dbfs", [-60, -45])
def test_speech_is_found_in_noise(clip: Path, dbfs: int) -> None:
    speech = np.concatenate([silence(1.0), read_clip(clip), silence(0.5)])
    noisy = speech + noise(len(speech) / RATE_HZ + 0.01, dbfs)[: len(speech)]
    assert speech_onset_ms(at_8_khz(noisy)) == pytest.approx(1000, abs=2 * NEAR_MS)


@each_clip
@pytest.mark.parametrize("ring", [US_RING, UK_RING, EU_RING], ids=["US", "UK", "EU"])
def test_the_onset_right_after_the_ringback_is_found(clip: Path, ring: tuple[float, ...]) -> None:
    ringing = np.concatenate([tone(ring, 1.0), silence(0.6), tone(ring, 0.7)])
    onset_ms = speech_onset_ms(at_8_khz(ringing, silence(0.15), read_clip(clip)))
    assert onset_ms == pytest.approx(2450, abs=2 * NEAR_MS)


@each_clip
def test_speech_over_hum_is_found(clip: Path) -> None:
    speech = np.concatenate([silence(1.0), read_clip(clip)])
    hum = np.sum([tone((50 * k,), len(speech) / RATE_HZ + 0.01, 0.02 / k) for k in range(1, 8)], axis=0)
    assert speech_onset_ms(at_8_khz(speech + hum[: len(speech)])) == pytest.approx(1000, abs=2 * NEAR_MS)


def test_speech_after_the_search_range_is_not_found() -> None:
    late = at_8_khz(silence(4.0), read_clip(CLIPS[0]))
    assert speech_onset_ms(late, search_ms=3_500) is None
    assert speech_onset_ms(late) == pytest.approx(4_000, abs=NEAR_MS)


@pytest.mark.parametrize("length", [0, 1, 10, 399, 801, 4_000])
@pytest.mark.parametrize("rate_hz", [4_000, 8_000, 11_025, 192_000])
def test_very_short_recordings_have_no_speech(length: int, rate_hz: int) -> None:
    assert speech_onset_ms(Waveform(np.zeros(length, dtype=np.float32), rate_hz)) is None
    assert speech_onset_ms(Waveform(np.ones(length, dtype=np.float32), rate_hz)) is None
