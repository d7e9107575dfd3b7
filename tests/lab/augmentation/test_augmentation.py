from dataclasses import replace

import numpy as np
import pytest

from amd_service.lab.augmentation.chain import NO_EFFECTS, TELEPHONE, Chances, augment
from amd_service.lab.augmentation.lead import draw_lead
from amd_service.lab.augmentation.librosa_shift import shift_recording
from amd_service.lab.augmentation.line import compand, lose_packets, overload, set_peak
from amd_service.lab.augmentation.spectrum import Samples, equaliser_curve, frequencies, limit_band, tilt_curve
from amd_service.lab.augmentation.surroundings import background, reverberate
from amd_service.lab.augmentation.voice import VoiceShift, shift_voice, vocode_with_noise

RATE_HZ = 8000


def buzz(seconds: float = 2.0, pitch_hz: float = 120.0, rate_hz: int = RATE_HZ) -> Samples:
    """A voice of 20 harmonics that is silent in the second half of every second."""
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    wave = np.sum([np.sin(2 * np.pi * pitch_hz * k * time) / k for k in range(1, 21)], axis=0)
    return np.asarray(0.1 * wave * (time % 1 < 0.5), np.float32)


def pitch_of(samples: Samples, rate_hz: int = RATE_HZ) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)).astype(np.float32)))
    at_hz = np.fft.rfftfreq(len(samples), 1 / rate_hz)
    low = (at_hz > 70) & (at_hz < 200)
    return float(at_hz[low][spectrum[low].argmax()])


def centroid(samples: Samples, rate_hz: int = RATE_HZ) -> float:
    spectrum = np.abs(np.fft.rfft(samples)) ** 2
    return float((spectrum * np.fft.rfftfreq(len(samples), 1 / rate_hz)).sum() / spectrum.sum())


def power(samples: Samples) -> float:
    return float(np.mean(samples**2))


EFFECTS = {
    name: replace(NO_EFFECTS, **{name: 1.0})
    for name in ("voice_shift", "noise_vocoding", "room", "noise", "band", "equaliser", "tilt", "overload", "level",
                 "packet_loss", "mu_law", "lead")
}  # fmt: skip


@pytest.mark.parametrize("rate_hz", [8000, 16_000])
@pytest.mark.parametrize("chances", [TELEPHONE, *EFFECTS.values()], ids=["all", *EFFECTS])
def test_the_same_generator_gives_the_same_finite_samples(chances: Chances, rate_hz: int) -> None:
    given = buzz(rate_hz=rate_hz)
    before = given.copy()
    first, second = (augment(given, rate_hz, np.random.default_rng(7), chances=chances) for _ in range(2))
    assert np.array_equal(first, second)
    assert first.dtype == np.float32
    assert np.abs(first).max() <= 1
    assert np.array_equal(given, before)


@pytest.mark.parametrize("name", EFFECTS)
def test_every_effect_changes_the_samples(name: str) -> None:
    given = buzz(3.0)
    changed = augment(given, RATE_HZ, np.random.default_rng(3), chances=EFFECTS[name])
    assert len(changed) != len(given) or np.abs(changed - given).max() > 1e-3


def test_without_effects_the_samples_stay() -> None:
    given = buzz()
    assert np.allclose(augment(given, RATE_HZ, np.random.default_rng(1), chances=NO_EFFECTS), given, atol=1e-5)


@pytest.mark.parametrize("name", sorted(set(EFFECTS) - {"lead", "voice_shift"}))
def test_effects_of_the_line_keep_the_length(name: str) -> None:
    for seed in range(3):
        given = buzz(1.7)
        assert len(augment(given, RATE_HZ, np.random.default_rng(seed), chances=EFFECTS[name])) == len(given)


@pytest.mark.parametrize("chances", [TELEPHONE, replace(TELEPHONE, voice_shift=1.0, noise_vocoding=1.0, lead=1.0)])
@pytest.mark.parametrize("count", [800, 8000])
def test_silence_and_short_audio_pass_through_every_effect(chances: Chances, count: int) -> None:
    for seed in range(5):
        heard = augment(np.zeros(count, np.float32), RATE_HZ, np.random.default_rng(seed), chances=chances)
        assert np.isfinite(heard).all()


@pytest.mark.parametrize(
    ("shift", "pitch_hz", "seconds"),
    [
        (VoiceShift(), 120, 4.0),
        (VoiceShift(pitch=1.25), 150, 4.0),
        (VoiceShift(pitch=0.8), 96, 4.0),
        (VoiceShift(pace=1.25), 120, 3.2),
        (VoiceShift(formants=1.25), 120, 4.0),
        (VoiceShift(0.8, 1.2, 0.8), 96, 5.0),
    ],
)
def test_pitch_and_pace_move_independently(shift: VoiceShift, pitch_hz: float, seconds: float) -> None:
    shifted = shift_voice(buzz(4.0), RATE_HZ, shift)
    assert pitch_of(shifted) == pytest.approx(pitch_hz, rel=0.03)
    assert len(shifted) / RATE_HZ == pytest.approx(seconds, abs=0.06)


def test_formants_move_without_the_pitch() -> None:
    noise = limit_band(np.random.default_rng(1).standard_normal(16_000).astype(np.float32) * 0.1, RATE_HZ, 900, 1100)
    higher, lower = (shift_voice(noise, RATE_HZ, VoiceShift(formants=factor)) for factor in (1.25, 0.8))
    assert centroid(lower) < centroid(noise) < centroid(higher)


@pytest.mark.parametrize("change", [shift_voice, pytest.param(shift_recording, marks=pytest.mark.slow)])
def test_a_shifted_voice_keeps_its_pauses(change: object) -> None:
    shifted = change(buzz(4.0), RATE_HZ, VoiceShift(1.2, 1.2, 1.0))  # type: ignore[operator]
    loud = [power(shifted[round(s * RATE_HZ) : round((s + 0.3) * RATE_HZ)]) for s in (0.1, 1.1, 2.1)]
    quiet = [power(shifted[round(s * RATE_HZ) : round((s + 0.3) * RATE_HZ)]) for s in (0.6, 1.6, 2.6)]
    assert min(loud) > 50 * max(quiet)


@pytest.mark.slow
def test_librosa_moves_pitch_and_pace() -> None:
    shifted = shift_recording(buzz(4.0), RATE_HZ, VoiceShift(pitch=1.2, pace=0.8))
    assert pitch_of(shifted) == pytest.approx(144, rel=0.03)
    assert len(shifted) / RATE_HZ == pytest.approx(5.0, abs=0.06)


def test_drawn_factors_stay_between_their_bounds() -> None:
    rng = np.random.default_rng(1)
    drawn = np.array([(s.pitch, s.formants, s.pace) for s in (VoiceShift.draw(rng) for _ in range(300))])
    assert drawn.min() >= 0.8
    assert drawn.max() <= 1.25
    assert np.abs(np.corrcoef(drawn.T) - np.eye(3)).max() < 0.2


def test_noise_vocoding_keeps_the_envelope_and_loses_the_pitch() -> None:
    given = buzz(4.0)
    hidden = vocode_with_noise(given, RATE_HZ, 8, np.random.default_rng(1))
    frames = [np.sqrt((s[: len(s) // 400 * 400].reshape(-1, 400) ** 2).mean(axis=1)) for s in (given, hidden)]
    assert np.corrcoef(*frames)[0, 1] > 0.8

    def tonality(samples: Samples) -> float:
        spectrum = np.abs(np.fft.rfft(samples[:4000]))
        return float(spectrum[58:63].sum() / spectrum[63:118].sum())

    assert tonality(hidden) < tonality(given) / 3


def test_the_equaliser_stays_within_14_db() -> None:
    at_hz = frequencies(8000, RATE_HZ)
    curves = np.array([equaliser_curve(at_hz, np.random.default_rng(seed)) for seed in range(200)])
    gains_db = 20 * np.log10(curves)
    assert np.abs(gains_db).max() <= 14.01
    assert 2 < gains_db.std() < 8


def test_tilt_changes_an_octave_by_its_decibels() -> None:
    one, two = tilt_curve(np.array([1000.0, 2000.0]), -6.0)
    assert one == pytest.approx(1.0)
    assert 20 * np.log10(two) == pytest.approx(-6.0)


def test_companding_changes_a_loud_sample_by_at_most_a_twentieth() -> None:
    wave = np.sin(np.linspace(0, 60, 4000)).astype(np.float32) * 0.8
    loud = np.abs(wave) > 0.05
    assert np.abs(compand(wave) / np.where(wave == 0, 1, wave) - 1)[loud].max() < 0.05


def test_level_and_overload_limit_the_peak() -> None:
    assert np.abs(set_peak(buzz(), -20)).max() == pytest.approx(0.1, rel=1e-3)
    assert np.abs(overload(buzz(), 6)).max() == pytest.approx(np.abs(buzz()).max() / 2, rel=0.01)


def test_lost_packets_change_about_their_share_of_the_frames() -> None:
    given = np.random.default_rng(1).standard_normal(160 * 1000).astype(np.float32)
    changed = (lose_packets(given, RATE_HZ, 0.1, np.random.default_rng(2)) != given).reshape(-1, 160).any(axis=1)
    assert 0.07 < changed.mean() < 0.13


def test_a_room_fills_the_pauses() -> None:
    wet = reverberate(buzz(4.0), RATE_HZ, np.random.default_rng(1))
    assert power(wet[round(0.51 * RATE_HZ) : round(0.55 * RATE_HZ)]) > 1e-5


def test_the_background_has_unit_power_and_may_contain_voices() -> None:
    asked = []

    def babble() -> Samples:
        asked.append(1)
        return buzz()

    for seed in range(30):
        assert power(background(7000, RATE_HZ, np.random.default_rng(seed), babble)) == pytest.approx(1, rel=0.01)
    assert asked


def test_the_lead_is_silence_or_ends_with_a_pause_after_a_ring() -> None:
    leads = [draw_lead(RATE_HZ, np.random.default_rng(seed)) for seed in range(60)]
    assert max(map(len, leads)) <= 3.3 * RATE_HZ
    ringing = [lead for lead in leads if np.abs(lead).max(initial=0) > 0]
    assert 0 < len(ringing) < 30
    assert all(np.abs(lead[-200:]).max() == 0 for lead in ringing)
