"""Recognises music by partials that stay at one frequency, as notes do. The partials of a voice move with its pitch."""

import numpy as np

from amd_service.detection.audio.activity import HOP_MS, Activity, Array, Flags
from amd_service.detection.evidence.findings import Music
from amd_service.detection.evidence.tone_segments import ToneSegment

# A partial is held if a peak of the spectrum stays within one bin (16 Hz) for this long.
HELD_MS = 320
# Peaks within this range of a frame's strongest peak count.
PEAK_RANGE = 1e-3
# Least ratio of a peak to the bins this far aside.
PROMINENCE, ASIDE = 8.0, 3
MIN_POWER = 1e-6
# Held partials that make a frame musical, and the share of musical frames among the audible ones that makes music.
MIN_PARTIALS = 2
MIN_SHARE = 0.7
# Least audible time.
MIN_MS = 2_000


def measure_music(activity: Activity, tones: list[ToneSegment]) -> Music:
    """Return the share of music in the audible frames. Frames of signalling tones (`tones`) do not count."""
    power = activity.power.copy()
    for tone in tones:
        power[max(0, tone.start_ms // HOP_MS - 2) : tone.end_ms // HOP_MS + 3] = 0
    audible = power.sum(axis=1) > MIN_POWER
    frames = int(np.count_nonzero(audible))
    if not frames:
        return Music(0.0, False)
    held = _held(_peaks(power))
    share = float(np.count_nonzero(audible & (held >= MIN_PARTIALS)) / frames)
    return Music(round(share, 3), share >= MIN_SHARE and frames * HOP_MS >= MIN_MS)


def _peaks(power: Array) -> Flags:
    """Return the bins that rise above their surroundings and are near the strongest bin of the frame."""
    peaks = np.zeros(power.shape, dtype=np.bool_)
    inner = power[:, ASIDE:-ASIDE]
    peaks[:, ASIDE:-ASIDE] = (
        (inner > power[:, ASIDE - 1 : -ASIDE - 1])
        & (inner >= power[:, ASIDE + 1 : -ASIDE + 1])
        & (inner > PROMINENCE * np.maximum(power[:, : -2 * ASIDE], power[:, 2 * ASIDE :]))
        & (inner > PEAK_RANGE * power.max(axis=1, keepdims=True))
    )
    return peaks


def _held(peaks: Flags) -> np.ndarray:
    """Return for each frame the number of partials that are held for HELD_MS around it."""
    wide = peaks.copy()
    wide[:, 1:] |= peaks[:, :-1]
    wide[:, :-1] |= peaks[:, 1:]
    span = HELD_MS // HOP_MS
    if len(wide) < span:
        return np.zeros(len(wide), dtype=np.int64)
    counts = np.cumsum(np.vstack([np.zeros((1, wide.shape[1]), np.bool_), wide]), axis=0, dtype=np.int16)
    # One frame in ten may miss the peak.
    full = (counts[span:] - counts[:-span]) >= span - span // 10
    # A peak that was widened to three bins is one partial.
    rises = np.count_nonzero(full[:, 1:] & ~full[:, :-1], axis=1) + full[:, 0]
    held = np.zeros(len(wide), dtype=np.int64)
    for shift in range(0, span, 4):
        held[shift : shift + len(rises)] = np.maximum(held[shift : shift + len(rises)], rises)
    return held
