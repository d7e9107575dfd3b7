"""Rules of one quantity: the best threshold on it, learnt from some voices and measured on others.

A model must beat the rules about rhythm, loudness and length of speech. No rule about an accidental quantity of the
drawn calls may predict the label: a model would learn the accident instead of the speech.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from amd_service.detection.audio.activity import measure_activity
from amd_service.detection.evidence.findings import Rhythm
from amd_service.detection.evidence.rhythm import RHYTHM_MS, measure_rhythm, speech_spans
from amd_service.domain import Label, Waveform
from amd_service.lab.evaluation.rates import Floats, Mask, Rate, rate
from amd_service.lab.synthesis.call_starts import CallStart
from amd_service.lab.synthesis.corpus import Corpus
from amd_service.lab.synthesis.examples import draw_recordings
from amd_service.lab.synthesis.render import RATE_HZ, Sound
from amd_service.lab.synthesis.voices import Split

_FRAME = RATE_HZ // 50


@dataclass(frozen=True, slots=True, eq=False)
class DrawnCall:
    """A call start, the sound that arrives over the line, and its rhythm."""

    start: CallStart
    heard: Sound
    rhythm: Rhythm


Measure = Callable[[DrawnCall], float]


def draw_calls(corpus: Corpus, split: Split, *, seconds: float, count: int, seed: int) -> list[DrawnCall]:
    """Draw `count` calls by voices of the split, half of each label."""
    calls = []
    for start, heard in draw_recordings(corpus, split, seconds, seed, count):
        activity = measure_activity(Waveform(heard, RATE_HZ), length_ms=RHYTHM_MS)
        rhythm = measure_rhythm(speech_spans(activity) if activity else [], len(heard) * 1000 // RATE_HZ)
        calls.append(DrawnCall(start, heard, rhythm))
    return calls


def measure_rule(measure: Measure, learn: Sequence[DrawnCall], test: Sequence[DrawnCall]) -> Rate:
    """Return the share of test calls with the right label, by the threshold that is best on the calls of `learn`."""
    values, truth = _measured(learn, measure)
    rules = [(sign, at) for sign in (1, -1) for at in np.quantile(values, np.linspace(0, 1, 101))]
    sign, at = max(rules, key=lambda rule: np.count_nonzero((values * rule[0] >= rule[1] * rule[0]) == truth))
    values, truth = _measured(test, measure)
    return rate((values * sign >= at * sign) == truth, np.ones(len(test), bool))


def measure_language_rule(learn: Sequence[DrawnCall], test: Sequence[DrawnCall]) -> Rate:
    """Return the share of test calls with the label that is more frequent in their language."""
    lead: Counter[str | None] = Counter()
    for call in learn:
        lead[call.start.language] += 1 if call.start.label is Label.VOICEMAIL else -1
    called = np.array([lead[call.start.language] > 0 for call in test])
    return rate(called == _measured(test, seconds_of_speech)[1], np.ones(len(test), bool))


def seconds_of_speech(call: DrawnCall) -> float:
    return float(np.count_nonzero(call.start.speech)) / RATE_HZ


def loudness_db(call: DrawnCall) -> float:
    """Return the level of the whole call in decibels relative to full scale."""
    return _decibels(float(np.mean(call.heard**2)))


def length_s(call: DrawnCall) -> float:
    return len(call.heard) / RATE_HZ


def level_of_speech_db(call: DrawnCall) -> float:
    """Return the level of the speech alone. The level of the whole call depends on the pauses, thus on the rhythm."""
    speech = call.heard[: len(call.start.speech)][call.start.speech[: len(call.heard)]]
    return _decibels(float(np.mean(speech**2)) if speech.size else 0.0)


def noise_db(call: DrawnCall) -> float:
    """Return the level of the quietest frames without speech."""
    quiet = call.heard[: len(call.start.speech)][~call.start.speech[: len(call.heard)]]
    frames = quiet[: len(quiet) // _FRAME * _FRAME].reshape(-1, _FRAME)
    return _decibels(float(np.quantile(np.mean(frames**2, axis=1), 0.05)) if len(frames) else 0.0)


def silence_before_speech_s(call: DrawnCall) -> float:
    return call.start.onset_s or 0.0


# A model may not be worse than any of these.
RULES: Mapping[str, Measure] = {
    "seconds of speech": seconds_of_speech,
    "loudness": loudness_db,
    "rhythm: start of speech": lambda call: float(call.rhythm.speech_at_ms or 0),
    "rhythm: first burst": lambda call: float(call.rhythm.first_burst_ms),
    "rhythm: longest run": lambda call: float(call.rhythm.longest_run_ms),
    "rhythm: share of speech": lambda call: call.rhythm.speech_share,
    "rhythm: pauses": lambda call: float(call.rhythm.pauses),
    "rhythm: longest pause": lambda call: float(call.rhythm.longest_pause_ms),
    "rhythm: silence at the end": lambda call: float(call.rhythm.trailing_silence_ms),
}

# These say nothing about who answers, so they must not predict the label. Rhythm does, as in real calls.
ACCIDENTS: Mapping[str, Measure] = {
    "level of speech": level_of_speech_db,
    "level of noise": noise_db,
    "silence before speech": silence_before_speech_s,
    # The drawn audio ends a fixed time after speech begins, so this is about cutting alone.
    "length of the audio": length_s,
}


def _measured(calls: Sequence[DrawnCall], measure: Measure) -> tuple[Floats, Mask]:
    values = np.array([measure(call) for call in calls])
    return values, np.array([call.start.label is Label.VOICEMAIL for call in calls])


def _decibels(power: float) -> float:
    return float(10 * np.log10(max(power, 1e-12)))
