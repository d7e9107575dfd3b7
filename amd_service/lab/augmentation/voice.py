"""Makes a strange voice out of a familiar one: other pitch, formants and pace, or noise with the voice's envelope.

The synthesiser makes millions of examples with `shift_voice`, a phase vocoder in numpy (Flanagan and Golden, 1966). It
takes about 20 ms for 8 s of audio at 8 kHz, and moves formants independently of the pitch. `amd-service train` uses
librosa (`librosa_shift.py`), which takes about 60 ms.
"""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import soxr
from numpy.typing import NDArray

from amd_service.lab.augmentation.spectrum import Samples

_FRAME_S = 0.032
_OVERLAP = 4
_ENVELOPE_HZ = 350.0

Spectrum = NDArray[np.complex64]


@dataclass(frozen=True, slots=True)
class VoiceShift:
    """Factors for the pitch, the resonances of the vocal tract, and the speaking rate. 1 changes nothing."""

    pitch: float = 1.0
    formants: float = 1.0
    pace: float = 1.0

    @classmethod
    def draw(cls, rng: np.random.Generator, low: float = 0.8, high: float = 1.25) -> Self:
        """Draw each factor between `low` and `high`, evenly on a logarithmic scale and independently."""
        pitch, formants, pace = np.exp(rng.uniform(np.log(low), np.log(high), 3))
        return cls(float(pitch), float(formants), float(pace))


def shift_voice(samples: Samples, rate_hz: int, shift: VoiceShift) -> Samples:
    """Return the samples with another pitch, other formants and another pace. The length changes with the pace."""
    frame = _frame_samples(rate_hz)
    # Resampling moves pitch and formants together; the vocoder then sets the length, and moves the formants back.
    moved = soxr.resample(samples, rate_hz * shift.pitch, rate_hz, quality="LQ").astype(np.float32)
    frames = _analyse(moved, frame)
    frames = _warp_envelope(frames, shift.formants / shift.pitch, rate_hz)
    return _synthesise(_stretch(frames, shift.pace / shift.pitch), frame)


def vocode_with_noise(samples: Samples, rate_hz: int, bands: int, rng: np.random.Generator) -> Samples:
    """Replace the voice with noise in `bands` bands that keeps the envelope of each band.

    The rhythm and the rough spectrum stay, and the speaker is gone (Shannon et al., 1995,
    https://doi.org/10.1126/science.270.5234).
    """
    frame = _frame_samples(rate_hz) // 2
    frames = _analyse(samples, frame)
    edges = np.unique(np.geomspace(1, frames.shape[1], bands + 1).round().astype(int))
    widths = np.diff(edges)
    level = np.sqrt(np.add.reduceat(np.abs(frames) ** 2, edges[:-1], axis=1) / widths)
    turn = np.float32(2 * np.pi) * rng.random(frames.shape, np.float32)
    noise = np.empty_like(frames)
    noise.real, noise.imag = np.cos(turn), np.sin(turn)
    noise[:, edges[0] :] *= np.repeat(level, widths, axis=1)
    noise[:, : edges[0]] = 0
    return _synthesise(noise, frame)[: len(samples)]


def _frame_samples(rate_hz: int) -> int:
    return 1 << round(math.log2(_FRAME_S * rate_hz))


def _analyse(samples: Samples, frame: int) -> Spectrum:
    """Return the short-time spectrum, (frames, bins)."""
    padded = np.pad(samples, (frame // 2, frame))
    pieces = np.lib.stride_tricks.sliding_window_view(padded, frame)[:: frame // _OVERLAP]
    return np.fft.rfft(pieces * np.hanning(frame).astype(np.float32), axis=1).astype(np.complex64)


def _synthesise(frames: Spectrum, frame: int) -> Samples:
    """Add the frames up again; the inverse of `_analyse`."""
    hop = frame // _OVERLAP
    window = np.hanning(frame).astype(np.float32)
    pieces = np.asarray(np.fft.irfft(frames, frame, axis=1) * window, np.float32)
    out = np.zeros((len(pieces) + _OVERLAP, hop), np.float32)
    weight = np.zeros_like(out)
    for part in range(_OVERLAP):
        columns = slice(part * hop, (part + 1) * hop)
        out[part : part + len(pieces)] += pieces[:, columns]
        weight[part : part + len(pieces)] += window[columns] ** 2
    return np.asarray(out / np.maximum(weight, 1e-3), np.float32).reshape(-1)[frame // 2 :]


def _stretch(frames: Spectrum, pace: float) -> Spectrum:
    """Return the frames at another pace, with phases that go on as in the original."""
    position = np.arange(0, len(frames) - 1, pace)
    index, part = position.astype(int), (position % 1).astype(np.float32)[:, None]
    size: Samples = np.abs(frames)
    # Phases as complex numbers of size 1: a product adds them, and costs a third of an angle, a sum and a sine.
    phase = np.where(size > 0, frames / np.maximum(size, np.float32(1e-20)), np.complex64(1))
    step = phase[1:] * phase[:-1].conj()
    turned = np.cumprod(step[index], axis=0) * (step[index[0]].conj() * phase[0])
    return np.asarray(((1 - part) * size[index] + part * size[index + 1]) * turned, np.complex64)


def _warp_envelope(frames: Spectrum, factor: float, rate_hz: int) -> Spectrum:
    """Move the spectral envelope up by `factor`, and leave the fine structure, so the pitch, where it is."""
    if abs(factor - 1) < 0.01:
        return frames
    bins = frames.shape[1]
    width = max(3, round(_ENVELOPE_HZ / (rate_hz / 2) * bins)) | 1
    padded = np.pad(np.abs(frames), ((0, 0), (width // 2 + 1, width // 2)), mode="edge")
    total = np.cumsum(padded, axis=1, dtype=np.float32)
    envelope = (total[:, width:] - total[:, :-width]) / np.float32(width)
    source = np.minimum(np.arange(bins) / factor, bins - 1.001)
    low, part = source.astype(int), (source % 1).astype(np.float32)
    moved = envelope[:, low] * (1 - part) + envelope[:, low + 1] * part
    return np.asarray(frames * (moved / (envelope + 1e-3 * envelope.max(initial=1e-6))), np.complex64)
