"""Recognises signals of exchanges and machines: ringback, busy, information tones, fax and touch tones.

Frequencies and cadences: ITU-T E.180 Supplement 2 (call progress), Q.23 (touch tones), T.30 (fax), and
https://w4zt.com/freqs/sit.html (categories of information tones).
"""

from itertools import pairwise

from amd_service.detection.evidence.findings import Fax, Sit, Tones
from amd_service.detection.evidence.tone_segments import ToneSegment

# Largest share of power outside the peaks of a signalling tone.
MAX_REST = 0.12
# Distance in which segments form one group of information tones.
SIT_GAP_MS = 90
# Information tones: range of each of the three, the frequencies of Bellcore's two variants, and their lengths.
SIT_HZ = ((880.0, 1015.0), (1335.0, 1460.0), (1740.0, 1840.0))
SIT_LOW_HIGH = ((913.8, 985.2), (1370.6, 1428.5))
SIT_TOLERANCE = 0.012
SIT_MS = (150, 480)
SIT_LONG_MS = 327
# Category by (first frequency is high, second is high, first is long, second is long).
CATEGORIES = {
    (True, False, True, False): Sit.VACANT,
    (False, False, False, False): Sit.INTERCEPT,
    (False, True, False, True): Sit.REORDER,
    (True, False, False, True): Sit.REORDER,
    (True, True, True, True): Sit.NO_CIRCUIT,
    (False, False, True, True): Sit.NO_CIRCUIT,
    (False, True, True, False): Sit.INEFFECTIVE,
}
ROWS = (697.0, 770.0, 852.0, 941.0)
COLUMNS = (1209.0, 1336.0, 1477.0, 1633.0)
KEYS = ("123A", "456B", "789C", "*0#D")
KEY_TOLERANCE = 0.022
# Call progress tones: 350 to 480 Hz, or 480 + 620 Hz.
PROGRESS_HZ = (340.0, 500.0)
SECOND_HZ = (340.0, 640.0)
# Busy and reorder tones are on and off for at most 0.75 s. A ringback rings for at least 0.35 s, and its long pause has
# at least 1.5 s.
BUSY_MS = (120, 850)
RING_MS = 350
RING_PAUSE_MS = 1_400
LONG_RING_MS = 850
CNG_HZ, CNG_MS = 1100.0, (380, 650)
CED_HZ, CED_MS = 2100.0, 1_000


def recognise_tones(segments: list[ToneSegment]) -> Tones:
    """Return the signals among the tonal segments, which are in order."""
    steady = [segment for segment in segments if segment.rest <= MAX_REST]
    sit, sit_parts = _find_sit(steady)
    digits = [(segment, digit) for segment in steady if (digit := _digit(segment))]
    progress = [segment for segment in steady if is_call_progress(segment)]
    fax = [segment for segment in steady if _is_near(segment, CED_HZ) or _is_cng(segment)]
    fax_kind = _fax(fax)
    is_ringback, is_busy = has_ringback(progress), has_busy(progress)
    used = [
        *sit_parts,
        *[segment for segment, _ in digits],
        *(progress if is_ringback or is_busy else []),
        *(fax if fax_kind else []),
    ]
    return Tones(
        tone_ms=sum(segment.length_ms for segment in used),
        ringback=is_ringback,
        busy=is_busy,
        sit=sit,
        fax=fax_kind,
        dtmf="".join(digit for _, digit in digits),
    )


def _find_sit(segments: list[ToneSegment]) -> tuple[Sit | None, list[ToneSegment]]:
    for first in range(len(segments) - 2):
        three = segments[first : first + 3]
        in_range = all(low <= each.hz <= high for each, (low, high) in zip(three, SIT_HZ, strict=True))
        is_joined = all(after.start_ms - before.end_ms <= SIT_GAP_MS for before, after in pairwise(three))
        if in_range and is_joined and all(SIT_MS[0] <= each.length_ms <= SIT_MS[1] for each in three):
            return _category(three), three
    return None, []


def _category(three: list[ToneSegment]) -> Sit:
    is_high: list[bool] = []
    for segment, (low, high) in zip(three, SIT_LOW_HIGH, strict=False):
        nearest = min(low, high, key=lambda hz: abs(hz - segment.hz))
        if abs(segment.hz - nearest) > SIT_TOLERANCE * nearest:
            return Sit.OTHER
        is_high.append(nearest == high)
    # The boundaries between the tones are exact to a frame, so the distance between the starts gives the lengths.
    lengths = [after.start_ms - before.start_ms for before, after in pairwise(three)]
    is_long = [length >= SIT_LONG_MS for length in lengths]
    return CATEGORIES.get((is_high[0], is_high[1], is_long[0], is_long[1]), Sit.OTHER)


def _digit(segment: ToneSegment) -> str:
    pair = segment.strong_partials(-12.0)
    if len(pair) != 2 or segment.length_ms < 40:
        return ""
    row = [index for index, hz in enumerate(ROWS) if abs(pair[0] - hz) < KEY_TOLERANCE * hz]
    column = [index for index, hz in enumerate(COLUMNS) if abs(pair[1] - hz) < KEY_TOLERANCE * hz]
    return KEYS[row[0]][column[0]] if row and column else ""


def is_call_progress(segment: ToneSegment) -> bool:
    partials = segment.strong_partials(-12.0)
    return PROGRESS_HZ[0] <= partials[0] <= PROGRESS_HZ[1] and all(hz <= SECOND_HZ[1] for hz in partials)


def has_busy(progress: list[ToneSegment]) -> bool:
    """Return True for at least three short tones with short, similar gaps."""
    near = [
        (before, after)
        for before, after in pairwise(progress)
        if BUSY_MS[0] <= before.length_ms <= BUSY_MS[1] and BUSY_MS[0] <= after.start_ms - before.end_ms <= BUSY_MS[1]
    ]
    return len(near) >= 2 and not _has_ring_pause(progress)


def has_ringback(progress: list[ToneSegment]) -> bool:
    """Return True for a long ring, or for rings with a long pause."""
    rings = [segment for segment in progress if segment.length_ms >= RING_MS]
    return any(segment.length_ms >= LONG_RING_MS for segment in rings) or (bool(rings) and _has_ring_pause(rings))


def _has_ring_pause(progress: list[ToneSegment]) -> bool:
    return any(after.start_ms - before.end_ms >= RING_PAUSE_MS for before, after in pairwise(progress))


def _is_near(segment: ToneSegment, hz: float) -> bool:
    return abs(segment.hz - hz) < 0.012 * hz and len(segment.strong_partials()) == 1


def _is_cng(segment: ToneSegment) -> bool:
    is_at_1100 = abs(segment.hz - CNG_HZ) < 40 and len(segment.strong_partials()) == 1
    return is_at_1100 and CNG_MS[0] <= segment.length_ms <= CNG_MS[1]


def _fax(candidates: list[ToneSegment]) -> Fax | None:
    if sum(segment.length_ms for segment in candidates if _is_near(segment, CED_HZ)) >= CED_MS:
        return Fax.CED
    calling = [segment for segment in candidates if _is_cng(segment)]
    # One tone of half a second can be a beep. The calling tone is repeated after 3 s.
    repeated = any(2_500 <= after.start_ms - before.end_ms <= 3_500 for before, after in pairwise(calling))
    return Fax.CNG if repeated else None
