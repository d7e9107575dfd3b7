"""Finds the onset of speech. Ignores silence, steady noise, hum, ringback, beeps, SIT, DTMF and clicks.

A frame counts as speech if the frame meets all four conditions below. Each of the other sounds fails at least one
condition.

- loud: the frame exceeds the noise floor. A tone or noise that lasts for 800 ms becomes part of the noise floor;
- rich: the energy is spread over more frequencies than the two of a signalling tone (ITU-T E.180, Q.23);
- moving: the spectrum differs from the spectrum 80 ms before and 80 ms after. The spectrum of a buzzer does not change;
- voiced: the frame is periodic at the pitch of a voice. Noise, clicks and line switching are not periodic.

The constants were measured with 24 synthetic voices and with 580 signals that are not speech. The voices come from
three engines (espeak-ng, flite, festival) and speak seven languages. The speech was limited to the telephone band.
The tests added noise from -60 to -30 dBFS, mu-law and clipping.

Known limits:

- whispered speech is not detected;
- DTMF counts as speech if it is clipped hard (three times full scale) or weaker than the noise around it;
- the off-hook howler, which has four tones, counts as speech;
- short bursts of rumble count as speech;
- noise that swells and fades about four times a second by 50 % or more counts as speech (at 50 %, this happened with 17
  of 18 test signals);
- chordal hold music counts as speech.

The measurements of noise and music are in docs/decisions/0016.
"""

from dataclasses import dataclass

import numpy as np
import soxr
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from amd_service.domain import Waveform

Array = NDArray[np.float32]
Flags = NDArray[np.bool_]

RATE_HZ = 8_000
HOP_MS = 16
HOP = RATE_HZ * HOP_MS // 1000
FRAME = RATE_HZ * 50 // 1000
FFT_SIZE = 512
# Telephone band without mains hum and its first harmonics (50, 60, 100, 120 Hz).
BAND = slice(180 * FFT_SIZE // RATE_HZ, 3_500 * FFT_SIZE // RATE_HZ)
# Autocorrelation lags, in samples, of a pitch from 420 down to 72 Hz. A frame plus the longest lag fits into the FFT,
# so the autocorrelation does not wrap around.
PITCH_LAGS = slice(RATE_HZ // 420, RATE_HZ // 72 + 1)

# The noise floor is the minimum of the smoothed power. This minimum is about a third of the mean power. A bin counts as
# sound if its power is more than 12 times the floor, which is 6 dB above the mean power.
FLOOR_FRAMES = 800 // HOP_MS
FLOOR_FACTOR = 12.0
# The pitch search subtracts the noise floor multiplied by this factor, which is lower than FLOOR_FACTOR. The noise that
# remains makes bursts of noise less periodic than voices.
NOISE_FACTOR = np.float32(2)
# Level within the band, in dB relative to full scale. A frame below this level counts as line noise. The idle code of
# mu-law has a level of -72 dB.
SILENCE_DBFS = -64.0

# Share of the energy of a frame outside its two strongest peaks. The share is above 0.03 in 95 % of speech frames and
# below 0.001 in unclipped tones.
RICH = 0.03
TONAL = 0.01
PEAK_BINS = 3
# Mean change of level per bin over 80 ms, in dB. The change is above 4.5 dB in 99 % of speech frames and below 1 dB in
# tones.
MOVES_DB = 3.0
STEADY_DB = 1.5
MOVE_FRAMES = 5
# The first and last frames of a tone contain the switching click, which is rich and moving. These frames count as tone.
EDGE_FRAMES = 3
# Highest autocorrelation at the lags of a pitch. The value is above 0.31 in 95 % of speech frames and below 0.26 in 99
# % of noise frames (white, pink, car).
VOICED = 0.34

# Speech needs EVIDENCE_FRAMES speech frames within EVIDENCE_SPAN frames. A short "yes" has about 150 ms (9 frames) of
# voice.
EVIDENCE_FRAMES = 6
EVIDENCE_SPAN = 20
# Maximum number of frames of an unvoiced beginning (the h of "hello", the s of "sorry") before the first voiced frame.
LEAD_FRAMES = 15
TINY = np.float32(1e-12)

# Milliseconds of audio that must follow the onset before the onset is final. The noise floor of the last frame in
# EVIDENCE_SPAN depends on the next FLOOR_FRAMES frames. Smoothing, framing and the widening of tones depend on about 12
# more frames.
SETTLED_MS = (LEAD_FRAMES + EVIDENCE_SPAN + FLOOR_FRAMES + 15) * HOP_MS
# If no onset was found, the last UNSETTLED_MS milliseconds can still contain an onset. Only further audio can show this
# onset.
UNSETTLED_MS = (LEAD_FRAMES + EVIDENCE_SPAN) * HOP_MS


@dataclass(frozen=True, slots=True, eq=False)
class Activity:
    """Audio at 8 kHz with its frames. Frame i is centred at i * HOP_MS.

    `power`: mean square in each bin of the telephone band, shape (frames, bins). `speech`: frames of voiced speech.
    `sound`: frames that exceed the noise and are no tone.
    """

    samples: Array
    power: Array
    speech: Flags
    sound: Flags

    def onset_ms(self, search_ms: int) -> int | None:
        """Return the onset of speech in ms, or None if no speech begins in the first `search_ms`."""
        first = _first_evidence(self.speech[: search_ms // HOP_MS])
        return None if first is None else _lead_in(first, self.sound) * HOP_MS


def speech_onset_ms(waveform: Waveform, *, search_ms: int = 15_000) -> int | None:
    """Return the onset of speech in ms from the first sample, or None if the first `search_ms` contain no speech.

    The onset is accurate to about 50 ms in a quiet call. In loud noise, which hides weak beginnings, the onset is up to
    200 ms late.
    """
    activity = measure_activity(waveform, length_ms=search_ms)
    return None if activity is None else activity.onset_ms(search_ms)


def measure_activity(waveform: Waveform, *, length_ms: int) -> Activity | None:
    """Find speech in the first `length_ms`. Returns None if there is less than 100 ms of audio."""
    samples = _at_8_khz(waveform, length_ms)
    if len(samples) < 2 * FRAME:
        return None
    power = _spectra(samples)
    floor = _floor(power)
    excess = np.where(power > FLOOR_FACTOR * floor, power - floor, np.float32(0))
    total = excess.sum(axis=1)
    active = (total > 10 ** (SILENCE_DBFS / 10)) & (total > floor.sum(axis=1))
    richness, movement = share_outside_two_peaks(excess), _movement(power, excess)
    tone = _widen(active & ((richness < TONAL) | (movement < STEADY_DB)), EDGE_FRAMES)
    sound = active & ~tone
    speech = sound & (richness > RICH) & (movement > MOVES_DB)
    speech[speech] = _periodicity(np.maximum(power[speech] - NOISE_FACTOR * floor[speech], 0)) > VOICED
    return Activity(samples, power, speech, sound)


def _at_8_khz(waveform: Waveform, search_ms: int) -> Array:
    samples = waveform.samples[: search_ms * waveform.rate_hz // 1000]
    if waveform.rate_hz == RATE_HZ or not len(samples):
        return samples
    resampled: Array = soxr.resample(samples, waveform.rate_hz, RATE_HZ, quality="LQ")
    return resampled


def _spectra(samples: Array) -> Array:
    """Return the power in each bin of the telephone band, shape (frames, bins). Frame i is centred at i * HOP_MS."""
    padded = np.pad(samples, (FRAME // 2, FRAME))
    frames = sliding_window_view(padded, FRAME)[: len(samples) : HOP]
    window = _window()
    # This scale makes the sum of a frame's bins equal to the mean square of the frame.
    scaled = window * np.sqrt(2 / (FFT_SIZE * np.sum(window**2)))
    spectrum = np.fft.rfft(frames * scaled, FFT_SIZE)[:, BAND]
    return np.asarray(spectrum.real**2 + spectrum.imag**2, dtype=np.float32)


def _window() -> Array:
    return np.hanning(FRAME).astype(np.float32)


def _floor(power: Array) -> Array:
    """Return the noise floor of each bin in each frame.

    The floor is the minimum over the FLOOR_FRAMES before the frame or after the frame, whichever minimum is larger.

    The larger minimum is used so that a noise or tone is part of the floor from its first frame on. A side with fewer
    than FLOOR_FRAMES frames is ignored, because speech may start at sample 0. The floor is at least the minimum of the
    whole recording.
    """
    smoothed = smooth(power)
    span = min(FLOOR_FRAMES, len(power))
    minima = _running_minimum(smoothed, span)
    floor = np.broadcast_to(smoothed.min(axis=0), smoothed.shape).copy()
    np.maximum(floor[: len(minima)], minima, out=floor[: len(minima)])
    np.maximum(floor[span - 1 :], minima, out=floor[span - 1 :])
    return floor


def smooth(power: Array) -> Array:
    """Return the moving average of the power over 5 frames and 5 bins. Values at the edges are repeated."""
    padded = np.pad(power, 2, mode="edge")
    rows, columns = power.shape
    tall = padded[:rows].copy()
    for shift in range(1, 5):
        tall += padded[shift : shift + rows]
    wide = tall[:, :columns].copy()
    for shift in range(1, 5):
        wide += tall[:, shift : shift + columns]
    return wide / np.float32(25)


def _running_minimum(values: Array, span: int) -> Array:
    """Return the minimum of each `span` consecutive rows, shape (rows - span + 1, columns). Takes log2(span) steps."""
    width = 1
    while width * 2 <= span:
        values = np.minimum(values[:-width], values[width:])
        width *= 2
    rest = span - width
    return np.minimum(values[: len(values) - rest], values[rest:]) if rest else values


def share_outside_two_peaks(excess: Array) -> Array:
    """Return the share of each frame's power above the noise that lies outside its two strongest peaks."""
    rest, rows = excess.copy(), np.arange(len(excess))
    for _ in range(2):
        peak = rest.argmax(axis=1)
        for offset in range(-PEAK_BINS, PEAK_BINS + 1):
            rest[rows, np.clip(peak + offset, 0, rest.shape[1] - 1)] = 0
    share: Array = rest.sum(axis=1) / (excess.sum(axis=1) + TINY)
    return share


def _movement(power: Array, excess: Array) -> Array:
    """Return the mean difference in dB between each frame and the frame 80 ms before or 80 ms after.

    The smaller of the two differences counts. Bins are weighted by their amplitude above the floor. Less than 80 ms
    from the start or end of the recording, only one of the two differences exists and counts.
    """
    movement = np.full(len(power), np.inf, dtype=np.float32)
    if len(power) <= MOVE_FRAMES:
        return movement
    level, weight = 10 * np.log10(power + TINY), np.sqrt(excess)
    weights = weight[MOVE_FRAMES:] + weight[:-MOVE_FRAMES]
    change = (weights * np.abs(level[MOVE_FRAMES:] - level[:-MOVE_FRAMES])).sum(axis=1) / (weights.sum(axis=1) + TINY)
    movement[MOVE_FRAMES:] = change
    movement[:-MOVE_FRAMES] = np.minimum(movement[:-MOVE_FRAMES], change)
    return movement


def _periodicity(power: Array) -> Array:
    """Return each frame's highest autocorrelation at the lags of a voice's pitch.

    The autocorrelation is corrected for the decay of the window. The spectra are compressed first, so that one
    strong formant or a band of noise does not count as periodic.
    """
    spectrum_of_window = _compressed(np.abs(np.fft.rfft(_window(), FFT_SIZE)) ** 2)
    decay = np.fft.irfft(spectrum_of_window, FFT_SIZE)
    gain: Array = (decay[0] / np.maximum(decay, decay[0] / 4)).astype(np.float32)
    bins = np.zeros((len(power), FFT_SIZE // 2 + 1), dtype=np.float32)
    bins[:, BAND] = _compressed(power)
    correlation = np.fft.irfft(bins, FFT_SIZE)[:, PITCH_LAGS] * gain[PITCH_LAGS]
    best: Array = correlation.max(axis=1) / (bins.sum(axis=1) * (2 / FFT_SIZE) + TINY)
    return best


def _compressed(power: Array) -> Array:
    """Return the fourth root of the power, which is the square root of the amplitude."""
    return np.sqrt(np.sqrt(power))


def _widen(flags: Flags, frames: int) -> Flags:
    """Return a copy of the flags that also sets each flag at most `frames` positions away from a set flag."""
    near = np.zeros(len(flags) + 2 * frames, dtype=np.bool_)
    for shift in range(2 * frames + 1):
        near[shift : shift + len(flags)] |= flags
    return near[frames : frames + len(flags)]


def _first_evidence(speech: Flags) -> int | None:
    """Return the index of the first speech frame with enough speech frames after it, or None without such a frame.

    A frame qualifies if at least EVIDENCE_FRAMES of the EVIDENCE_SPAN frames that begin with it are speech frames.
    """
    counts = np.concatenate([[0], np.cumsum(speech), np.full(EVIDENCE_SPAN, speech.sum())])
    ahead = counts[EVIDENCE_SPAN : EVIDENCE_SPAN + len(speech)] - counts[: len(speech)]
    enough = np.flatnonzero(speech & (ahead >= EVIDENCE_FRAMES))
    return int(enough[0]) if len(enough) else None


def _lead_in(first: int, sound: Flags) -> int:
    """Return the first frame of the continuous sound that leads to frame `first`, at most LEAD_FRAMES earlier."""
    start = first
    while start > 0 and first - start < LEAD_FRAMES and sound[start - 1]:
        start -= 1
    return start
