"""Gain curves over frequency, as attenuations of a telephone line, a handset or a room, and their application."""

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len

Samples = NDArray[np.float32]
Curve = NDArray[np.float64]

_EQUALISER_HZ = np.geomspace(150, 3600, 8)
_STEP_DB, _LIMIT_DB = 3.0, 14.0


def band_curve(frequency_hz: Curve, low_hz: float, high_hz: float) -> Curve:
    """Return a band pass with linear slopes: from `low_hz / 2` to `low_hz`, and 200 Hz above `high_hz`."""
    rise = np.clip((frequency_hz - low_hz / 2) / (low_hz / 2), 0, 1)
    fall = np.clip((high_hz + 200 - frequency_hz) / 200, 0, 1)
    return np.asarray(rise * fall)


def equaliser_curve(frequency_hz: Curve, rng: np.random.Generator) -> Curve:
    """Return a random equaliser: a random walk in steps of about 3 dB over 8 bands, clipped at 14 dB.

    The walk imitates handsets, codecs and loudspeakers, which colour the whole spectrum smoothly.
    """
    steps_db = np.cumsum(rng.normal(0.0, _STEP_DB, len(_EQUALISER_HZ)))
    bands_db = np.clip(steps_db - steps_db.mean(), -_LIMIT_DB, _LIMIT_DB)
    position = np.log(np.maximum(frequency_hz, 1.0))
    return np.asarray(10 ** (np.interp(position, np.log(_EQUALISER_HZ), bands_db) / 20))


def tilt_curve(frequency_hz: Curve, db_per_octave: float) -> Curve:
    """Return a spectral tilt that leaves 1 kHz unchanged. A voice that speaks softly has a steeper spectrum."""
    octaves = np.log2(np.maximum(frequency_hz, 60.0) / 1000)
    return np.asarray(10 ** (db_per_octave * octaves / 20))


def apply_curve(samples: Samples, curve: Curve) -> Samples:
    """Multiply the spectrum of `samples` by a curve that was computed at `frequencies(len(samples), rate_hz)`."""
    size = _padded(len(samples))
    spectrum = np.fft.rfft(samples, size) * curve.astype(np.float32)
    return np.asarray(np.fft.irfft(spectrum, size)[: len(samples)], np.float32)


def frequencies(count: int, rate_hz: int) -> Curve:
    """Return the frequencies in Hz at which `apply_curve` needs the gains for `count` samples."""
    return np.asarray(np.fft.rfftfreq(_padded(count), 1 / rate_hz), np.float64)


def limit_band(samples: Samples, rate_hz: int, low_hz: float, high_hz: float) -> Samples:
    """Apply `band_curve`."""
    return apply_curve(samples, band_curve(frequencies(len(samples), rate_hz), low_hz, high_hz))


def _padded(count: int) -> int:
    return int(next_fast_len(max(count, 2), real=True))
