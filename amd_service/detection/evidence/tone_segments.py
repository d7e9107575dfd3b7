"""Finds stretches of audio with a constant spectrum of one or two narrow peaks: candidates for tones."""

from dataclasses import dataclass

import numpy as np

from amd_service.detection.audio.activity import (
    BAND,
    FFT_SIZE,
    HOP_MS,
    RATE_HZ,
    Activity,
    Array,
    share_outside_two_peaks,
    smooth,
)

# Share of a tonal frame's power outside its two strongest peaks. Noise at the level of the tone leaves 0.15.
MAX_REST = 0.2
# Weakest tone, as mean square.
MIN_POWER = 1e-6
# Noise per bin: this quantile of the smoothed power over time, multiplied by a factor. The product is about twice the
# mean power of steady noise.
NOISE_QUANTILE = 0.2
NOISE_FACTOR = 3.0
# Overlap (Bhattacharyya coefficient) of the spectra of two frames of one tone. 1: equal.
SAME_TONE = 0.6
CHANGE_FRAMES = 2
# Non-tonal frames that may interrupt a tone: a lost packet of 20 ms spoils up to five frames of 50 ms.
MAX_GAP = 5
MIN_FRAMES = 3
# Number of the longest segments that are analysed. Speech can contain hundreds of short ones.
MAX_SEGMENTS = 32
SPECTRUM = 4096
LEAST_DISTANCE_HZ = 25.0
HZ_PER_BIN = RATE_HZ / SPECTRUM


@dataclass(frozen=True, slots=True)
class Partial:
    """One sine of a tone. `level_db`: relative to the strongest partial."""

    hz: float
    level_db: float


@dataclass(frozen=True, slots=True)
class ToneSegment:
    """A stretch with a constant spectrum. `power`: mean square. `rest`: share of power outside the two strongest peaks.

    `partials`: at most three, the strongest first.
    """

    start_ms: int
    end_ms: int
    power: float
    rest: float
    partials: tuple[Partial, ...]

    @property
    def length_ms(self) -> int:
        return self.end_ms - self.start_ms

    @property
    def hz(self) -> float:
        return self.partials[0].hz

    def strong_partials(self, least_db: float = -15.0) -> list[float]:
        """Return the frequencies of the partials above a level, from low to high."""
        return sorted(partial.hz for partial in self.partials if partial.level_db >= least_db)


def find_tone_segments(activity: Activity) -> list[ToneSegment]:
    """Return the tonal stretches of at least about 80 ms, in order."""
    excess = np.maximum(activity.power - _noise(activity.power), 0)
    total = excess.sum(axis=1)
    loud = np.flatnonzero(total > MIN_POWER)
    rest = np.ones(len(total), dtype=np.float32)
    rest[loud] = share_outside_two_peaks(excess[loud])
    stretches = _stretches(np.sqrt(excess / (total[:, None] + np.float32(1e-12))), rest < MAX_REST)
    longest = sorted(stretches, key=lambda each: each[0] - each[1])[:MAX_SEGMENTS]
    return [
        ToneSegment(
            start_ms=first * HOP_MS - HOP_MS // 2,
            end_ms=last * HOP_MS + HOP_MS // 2,
            power=float(total[first : last + 1].mean()),
            rest=float(rest[first : last + 1].mean()),
            partials=_partials(activity.samples[first * HOP_MS * 8 : last * HOP_MS * 8]),
        )
        for first, last in sorted(longest)
    ]


def _noise(power: Array) -> Array:
    """Return the noise in each bin.

    A tone that lasts for most of the recording is not noise, so the noise of a bin is at most the median of its
    neighbours.
    """
    steady = np.quantile(smooth(power[::4]), NOISE_QUANTILE, axis=0)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(steady, 12, mode="edge"), 25)
    noise: Array = (np.minimum(steady, 2 * np.median(around, axis=1)) * NOISE_FACTOR).astype(np.float32)
    return noise


def _stretches(shape: Array, tonal: np.ndarray) -> list[tuple[int, int]]:
    """Return first and last frame of each stretch. `shape`: square root of each frame's normalised spectrum."""
    frames = np.flatnonzero(tonal)
    if not len(frames):
        return []
    # A frame between two tones contains both, so it resembles each of them. Frames on its two sides differ.
    inner = frames[(frames >= CHANGE_FRAMES) & (frames < len(tonal) - CHANGE_FRAMES)]
    inner = inner[tonal[inner - CHANGE_FRAMES] & tonal[inner + CHANGE_FRAMES]]
    overlap = np.einsum("ij,ij->i", shape[inner - CHANGE_FRAMES], shape[inner + CHANGE_FRAMES])
    frames = np.setdiff1d(frames, inner[overlap < SAME_TONE], assume_unique=True)
    gap = np.diff(frames)
    same = np.einsum("ij,ij->i", shape[frames[1:]], shape[frames[:-1]]) > SAME_TONE
    ends = np.flatnonzero((gap > MAX_GAP + 1) | ~same)
    starts = np.r_[0, ends + 1]
    pairs = zip(frames[starts].tolist(), frames[np.r_[ends, len(frames) - 1]].tolist(), strict=True)
    return [(first, last) for first, last in pairs if last - first + 1 >= MIN_FRAMES]


def _partials(samples: Array) -> tuple[Partial, ...]:
    """Return the strongest partials of up to a quarter of a second from the middle of a stretch."""
    spare = max(0, len(samples) - SPECTRUM // 2) // 2
    piece = samples[spare : spare + SPECTRUM // 2]
    power = np.abs(np.fft.rfft(piece * np.hanning(len(piece)), SPECTRUM)) ** 2
    first = BAND.start * SPECTRUM // FFT_SIZE
    power[:first] = 0
    power[BAND.stop * SPECTRUM // FFT_SIZE :] = 0
    # The main lobe of a Hann window is 4 / length wide.
    # Lost packets make weak partials beside it. The closest tones that exchanges combine are 40 Hz apart.
    half = max(int(3.5 * SPECTRUM / len(piece)) + 2, round(LEAST_DISTANCE_HZ / HZ_PER_BIN))
    found: list[tuple[float, float]] = []
    for _ in range(3):
        peak = int(power.argmax())
        near = slice(max(0, peak - half), peak + half + 1)
        energy = float(power[near].sum())
        if energy <= 0:
            break
        centre = float((power[near] * np.arange(near.start, near.start + len(power[near]))).sum()) / energy
        found.append((centre * HZ_PER_BIN, energy))
        power[near] = 0
    return tuple(Partial(hz, 10 * float(np.log10(energy / found[0][1]))) for hz, energy in found)
