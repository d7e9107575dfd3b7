"""Measures speech and pauses at the beginning of a recording."""

from itertools import pairwise

import numpy as np

from amd_service.detection.audio.activity import HOP_MS, Activity, Flags
from amd_service.detection.evidence.findings import Rhythm

RHYTHM_MS = 8_000
# A longer gap in voiced speech is a pause. Unvoiced sounds and closures of plosives make shorter gaps.
PAUSE_MS = 400
# Voiced frames that a stretch of speech needs. A short "yes" has about 9 such frames; clicks have fewer than 5.
MIN_FRAMES = 5

# Start and end of a stretch in ms.
Span = tuple[int, int]


def speech_spans(activity: Activity) -> list[Span]:
    """Return the stretches of speech between pauses, in order."""
    voiced = np.flatnonzero(activity.speech)
    if not len(voiced):
        return []
    breaks = np.flatnonzero(np.diff(voiced) * HOP_MS > PAUSE_MS)
    stretches = zip(np.r_[0, breaks + 1].tolist(), np.r_[breaks, len(voiced) - 1].tolist(), strict=True)
    return [
        (int(voiced[first]) * HOP_MS, int(voiced[last] + 1) * HOP_MS)
        for first, last in stretches
        if last - first + 1 >= MIN_FRAMES
    ]


def measure_rhythm(spans: list[Span], audio_ms: int) -> Rhythm:
    """Measure the rhythm of the first RHYTHM_MS. `spans`: result of `speech_spans`."""
    examined_ms = min(audio_ms, RHYTHM_MS)
    early = [(start, min(end, examined_ms)) for start, end in spans if start < examined_ms]
    lengths = [end - start for start, end in early]
    pauses = [after[0] - before[1] for before, after in pairwise(early)]
    return Rhythm(
        audio_ms=examined_ms,
        speech_at_ms=early[0][0] if early else None,
        first_burst_ms=lengths[0] if lengths else 0,
        longest_run_ms=max(lengths, default=0),
        speech_share=round(sum(lengths) / examined_ms, 3) if examined_ms else 0.0,
        pauses=len(pauses),
        longest_pause_ms=max(pauses, default=0),
        trailing_silence_ms=examined_ms - early[-1][1] if early else examined_ms,
    )


def voiced_ms(speech: Flags, end_ms: int) -> int:
    """Return the milliseconds of voiced frames before a time."""
    return int(np.count_nonzero(speech[: end_ms // HOP_MS])) * HOP_MS
