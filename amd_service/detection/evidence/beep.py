"""Finds the beep with which a voicemail begins to record."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from amd_service.detection.audio.activity import HOP_MS, RATE_HZ, Activity, Array
from amd_service.detection.evidence.findings import Beep
from amd_service.detection.evidence.rhythm import Span, voiced_ms
from amd_service.detection.evidence.tone_segments import ToneSegment

MIN_HZ, MAX_HZ = 300.0, 2500.0
MIN_MS, MAX_MS = 100, 2500
# Tolerance of the measured length.
SLACK_MS = 25
# A second partial that is stronger than this makes a touch tone, a ringback or a vowel. Harmonics of a distorted beep
# may be stronger.
SECOND_DB = -14.0
HARMONIC_DB = -9.0
# Largest share of power outside the beep in its frames.
MAX_REST = 0.12
# Milliseconds of voice before the beep.
MIN_VOICE_MS = 80
# Milliseconds after the beep that must be quiet, and the smallest difference in level.
QUIET_MS = 400
LEAST_QUIET_MS = 250
QUIET_DELAY_MS = 50
QUIET_DB = 6.0
# The frequency is measured in blocks of this many samples of the amplitude. The middle half of the blocks may differ by
# this many Hz, or by this share of the frequency. The pitch of a held vowel differs by more.
BLOCK = 12
# In a beep shorter than SHORT_MS they may differ by more.
MAX_SPREAD_HZ, MAX_SPREAD = 2.0, 0.0015
SHORT_MS = 250
# Tones closer than this belong together: information tones, or a tune.
JOINED_MS = 110
# A tone of at least NOTE_MS is a note. Two other notes within TUNE_MS before it make a melody.
NOTE_MS, TUNE_MS = 130, 3_000
# Equal tones at a regular distance are a cadence. Busy tones and ringbacks of one frequency have 400 to 450 Hz.
SAME_HZ = 0.02
PROGRESS_HZ = (375.0, 475.0)
MAX_CADENCE_MS = 5_200
RING_DISTANCE_MS = 1_800
# A fax answers with at least 2.6 s of 2100 Hz, in which a modem reverses the phase every 450 ms.
ANSWER_MS = 1_500
# Search for the edges of a tone: margin on both sides, moving average, and step of the amplitude, in samples.
EDGE_MS = 120
PER_MS = RATE_HZ // 1000
SMOOTH, STEP = 80, 16
# A greeting: voice before the beep, no pause longer than LONGEST_PAUSE_MS, and at most LAST_PAUSE_MS before the beep.
GREETING_MS = 1_000
LONGEST_PAUSE_MS = 1_500
LAST_PAUSE_MS = 4_000


@dataclass(frozen=True, slots=True)
class _Edges:
    """Where the amplitude of a tone passes half of its plateau, and the spread of its frequency."""

    start_ms: int
    end_ms: int
    spread_hz: float

    @property
    def length_ms(self) -> int:
        return self.end_ms - self.start_ms


def find_beep(activity: Activity, segments: list[ToneSegment], spans: list[Span]) -> Beep | None:
    """Return the last beep that follows speech and is followed by quiet, or None.

    `segments`: result of `find_tone_segments`. `spans`: result of `speech_spans`.
    """
    for index in range(len(segments) - 1, -1, -1):
        segment = segments[index]
        if not is_pure(segment) or _is_in_tune(segments, index) or _is_signal(segments, index):
            continue
        edges = _edges(activity.samples, segment)
        if edges is None or not MIN_MS - SLACK_MS <= edges.length_ms <= MAX_MS + SLACK_MS:
            continue
        if edges.spread_hz > max(  # In a beep shorter than SHORT_MS they may differ by more.
            MAX_SPREAD_HZ, MAX_SPREAD * segment.hz
        ) * max(1, SHORT_MS / edges.length_ms):
            continue
        if voiced_ms(activity.speech, edges.start_ms) >= MIN_VOICE_MS and _is_quiet_after(activity, segment, edges):
            follows_speech = _is_greeting([span for span in spans if span[0] < edges.start_ms], edges.start_ms)
            return Beep(edges.start_ms, edges.length_ms, round(segment.hz), follows_speech)
    return None


def is_pure(segment: ToneSegment) -> bool:
    """Return True if a segment has one partial at the frequency of a beep. Weak harmonics do not count."""
    if not MIN_HZ <= segment.hz <= MAX_HZ or segment.rest > MAX_REST:
        return False
    for partial in segment.partials[1:]:
        ratio = partial.hz / segment.hz
        is_harmonic = ratio > 1.5 and abs(ratio - round(ratio)) < 0.02 * ratio
        if partial.level_db > (HARMONIC_DB if is_harmonic else SECOND_DB):
            return False
    return True


def _is_in_tune(segments: list[ToneSegment], index: int) -> bool:
    """Return True if other tones lead to this one: information tones, or a melody."""
    this = segments[index]
    before = [
        other
        for other in segments[:index]
        if other.length_ms >= NOTE_MS and this.start_ms - other.end_ms < TUNE_MS and is_pure(other)
    ]
    is_joined = bool(before) and this.start_ms - before[-1].end_ms < JOINED_MS
    return is_joined or sum(abs(other.hz - this.hz) > SAME_HZ * this.hz for other in before) >= 2


def _is_signal(segments: list[ToneSegment], index: int) -> bool:
    """Return True for a signal: the answer of a fax, or equal tones at a regular distance (busy, ringback, fax)."""
    this = segments[index]
    if abs(this.hz - 2100) < 15 and this.length_ms > ANSWER_MS:
        return True
    is_progress, is_fax = PROGRESS_HZ[0] <= this.hz <= PROGRESS_HZ[1], abs(this.hz - 1100) < 40
    distances_ms = [
        abs(this.start_ms - other.start_ms)
        for other in segments
        if other is not this and abs(other.hz - this.hz) < SAME_HZ * this.hz and is_pure(other)
    ]
    near_ms = [distance_ms for distance_ms in distances_ms if distance_ms <= MAX_CADENCE_MS]
    # Some machines beep twice. Busy tones have at least three tones, and those of ringbacks are far apart.
    return bool(near_ms) and (
        (is_progress and (len(near_ms) >= 2 or near_ms[0] >= RING_DISTANCE_MS)) or (is_fax and max(near_ms) > 2500)
    )


def _edges(samples: Array, segment: ToneSegment) -> _Edges | None:
    begin = max(0, (segment.start_ms - EDGE_MS) * PER_MS)
    piece = samples[begin : (segment.end_ms + EDGE_MS) * PER_MS]
    turns = np.exp(-2j * np.pi * segment.hz / RATE_HZ * np.arange(len(piece)))
    baseband = np.convolve(piece * turns, np.full(SMOOTH, 1 / SMOOTH), "same")[::STEP]
    amplitude = np.abs(baseband)
    inside = slice((segment.start_ms * PER_MS - begin) // STEP, (segment.end_ms * PER_MS - begin) // STEP)
    above = np.flatnonzero(amplitude > np.median(amplitude[max(0, inside.start) : inside.stop]) / 2)
    middle = np.searchsorted(above, (max(0, inside.start) + inside.stop) // 2)
    breaks = np.flatnonzero(np.diff(above) > EDGE_MS * PER_MS // STEP // 2)
    first = above[breaks[breaks < middle][-1] + 1] if (breaks < middle).any() else above[0]
    last = above[breaks[breaks >= middle][0]] if (breaks >= middle).any() else above[-1]
    if last - first < 3 * SMOOTH // STEP:
        return None
    steps = np.angle(baseband[first + 1 : last + 1] * np.conj(baseband[first:last]))
    blocks = [steps[at : at + BLOCK].mean() for at in range(0, max(1, len(steps) - BLOCK + 1), BLOCK)]
    spread = float(np.subtract(*np.percentile(blocks, (75, 25)))) / (2 * np.pi) * RATE_HZ / STEP
    to_ms = STEP / PER_MS
    return _Edges(round(begin / PER_MS + first * to_ms), round(begin / PER_MS + last * to_ms), spread)


def _is_quiet_after(activity: Activity, segment: ToneSegment, edges: _Edges) -> bool:
    first = (edges.end_ms + QUIET_DELAY_MS) // HOP_MS
    after = slice(first, first + QUIET_MS // HOP_MS)
    power = activity.power[after].sum(axis=1)
    if len(power) < LEAST_QUIET_MS // HOP_MS or np.count_nonzero(activity.speech[after]) > 2:
        return False
    return float(np.median(power)) < segment.power * 10 ** (-QUIET_DB / 10)


def _is_greeting(spans: list[Span], beep_ms: int) -> bool:
    pauses = [after[0] - before[1] for before, after in pairwise(spans)]
    spoken_ms = sum(min(end, beep_ms) - start for start, end in spans)
    is_soon = bool(spans) and beep_ms - spans[-1][1] <= LAST_PAUSE_MS
    return is_soon and spoken_ms >= GREETING_MS and max(pauses, default=0) <= LONGEST_PAUSE_MS
