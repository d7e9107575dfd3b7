"""Draws effects and applies them in the order of a call: voice, room, noise, telephone line.

The synthesiser and the fine-tuning use the same functions. The draws depend on the generator alone, so no effect
predicts a label.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amd_service.lab.augmentation.lead import draw_lead
from amd_service.lab.augmentation.line import compand, lose_packets, overload, set_peak
from amd_service.lab.augmentation.spectrum import (
    Samples,
    apply_curve,
    band_curve,
    equaliser_curve,
    frequencies,
    tilt_curve,
)
from amd_service.lab.augmentation.surroundings import Babble, background, reverberate
from amd_service.lab.augmentation.voice import VoiceShift, shift_voice, vocode_with_noise

ShiftVoice = Callable[[Samples, int, VoiceShift], Samples]

_SNR_DB = (10.0, 45.0)
_QUIETEST = 0.01  # root mean square of speech that is assumed at least, so that silence does not mute the noise


@dataclass(frozen=True, slots=True)
class Chances:
    """Probability of each effect, for one call. `NO_EFFECTS` has none of them.

    `gated_noise`: share of the noises that stop between words, as some networks do. `lead`: silence or ringback before
    the audio. `level`: a peak from -2 to -30 dB instead of the given level.
    """

    voice_shift: float = 0.5
    noise_vocoding: float = 0.0
    room: float = 0.3
    noise: float = 0.75
    gated_noise: float = 0.15
    band: float = 0.85
    equaliser: float = 0.6
    tilt: float = 0.3
    overload: float = 0.08
    level: float = 1.0
    packet_loss: float = 0.12
    mu_law: float = 0.85
    lead: float = 0.0


TELEPHONE = Chances()
NO_EFFECTS = Chances(
    voice_shift=0, room=0, noise=0, gated_noise=0, band=0, equaliser=0, tilt=0, overload=0, level=0, packet_loss=0,
    mu_law=0,
)  # fmt: skip


def augment(
    samples: Samples,
    rate_hz: int,
    rng: np.random.Generator,
    *,
    chances: Chances = TELEPHONE,
    babble: Babble | None = None,
    shift: ShiftVoice = shift_voice,
) -> Samples:
    """Return a copy after random effects, in [-1, 1]. Lead and pace change the length: cut windows afterwards.

    `babble` returns other speech at the same rate for the background. The same generator state gives the same result.
    """
    if rng.random() < chances.lead:
        samples = np.concatenate([draw_lead(rate_hz, rng), samples])
    if rng.random() < chances.voice_shift:
        samples = shift(samples, rate_hz, VoiceShift.draw(rng))
    return send_over_telephone(hide_voice(samples, rate_hz, rng, chances), rate_hz, rng, chances, babble=babble)


def hide_voice(samples: Samples, rate_hz: int, rng: np.random.Generator, chances: Chances) -> Samples:
    """Apply noise-vocoding in 3 to 12 bands, if drawn. The length stays."""
    if rng.random() >= chances.noise_vocoding:
        return samples
    return vocode_with_noise(samples, rate_hz, int(rng.integers(3, 13)), rng)


def send_over_telephone(
    samples: Samples,
    rate_hz: int,
    rng: np.random.Generator,
    chances: Chances,
    *,
    babble: Babble | None = None,
    speech: NDArray[np.bool_] | None = None,
) -> Samples:
    """Return the samples after room, noise, handset and line, in [-1, 1]. The length stays.

    `speech` marks the samples that are speech: the noise is relative to their loudness, and may stop between them.
    """
    if rng.random() < chances.room:
        samples = reverberate(samples, rate_hz, rng)
    if rng.random() < chances.noise:
        samples = samples + _noise(samples, rate_hz, rng, chances, babble=babble, speech=speech)
    if rng.random() < chances.overload:
        samples = overload(samples, rng.uniform(3, 12))
    samples = _colour(samples, rate_hz, rng, chances)
    if rng.random() < chances.level:
        samples = set_peak(samples, -rng.uniform(2, 30))
    if rng.random() < chances.packet_loss:
        samples = lose_packets(samples, rate_hz, rng.uniform(0.005, 0.03), rng)
    if rng.random() < chances.mu_law:
        samples = compand(samples)
    return np.clip(samples, -1, 1).astype(np.float32)


def _noise(
    samples: Samples,
    rate_hz: int,
    rng: np.random.Generator,
    chances: Chances,
    *,
    babble: Babble | None,
    speech: NDArray[np.bool_] | None,
) -> Samples:
    spoken = samples[speech] if speech is not None and speech.any() else samples
    loudness = max(float(np.sqrt(np.mean(spoken**2))) if len(spoken) else 0.0, _QUIETEST)
    noise = background(len(samples), rate_hz, rng, babble)
    if rng.random() < chances.gated_noise and speech is not None:
        noise = noise * speech
    return np.asarray(noise * np.float32(loudness * 10 ** (-rng.uniform(*_SNR_DB) / 20)))


def _colour(samples: Samples, rate_hz: int, rng: np.random.Generator, chances: Chances) -> Samples:
    """Apply band, equaliser and tilt with one transform."""
    at_hz = frequencies(len(samples), rate_hz)
    curve = np.ones(len(at_hz))
    if rng.random() < chances.band:
        curve *= band_curve(at_hz, rng.uniform(150, 400), rng.uniform(3000, 3800))
    if rng.random() < chances.equaliser:
        curve *= equaliser_curve(at_hz, rng)
    if rng.random() < chances.tilt:
        curve *= tilt_curve(at_hz, rng.uniform(-4, 4))
    return apply_curve(samples, curve)
