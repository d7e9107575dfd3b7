"""Checks of a trained model on synthetic calls: other sounds, announcers, and simple rules that it must beat."""

import random
from collections.abc import Callable, Sequence

import numpy as np

from amd_service.detection.audio.window import cut
from amd_service.domain import Anchor, Label, Waveform
from amd_service.lab.augmentation.surroundings import background
from amd_service.lab.evaluation.rates import Interval, wilson
from amd_service.lab.shipped_model.trials import THRESHOLD, Predict
from amd_service.lab.synthesis import tones
from amd_service.lab.synthesis.call_starts import CallStart
from amd_service.lab.synthesis.corpus import Corpus
from amd_service.lab.synthesis.examples import draw_recordings
from amd_service.lab.synthesis.render import RATE_HZ as TELEPHONE_RATE_HZ
from amd_service.lab.synthesis.render import Sound
from amd_service.lab.synthesis.voices import Split

Measure = Callable[[CallStart, Sound], float]


def draw_other_sound(seconds: float, rng: random.Random) -> Sound:
    """Return tones, a chord that changes as in music, noise or silence, without speech, at 8 kHz."""
    generator = np.random.default_rng(rng.getrandbits(64))
    kind = rng.randrange(5)
    if kind == 0:
        sound = np.concatenate([tones.beep(rng), tones.keys(rng), tones.special_information()])
    elif kind == 1:
        sound = tones.ringback(seconds, rng.randrange(len(tones.RINGBACKS)))
    elif kind == 2:
        roots = [rng.choice((220.0, 262.0, 294.0, 330.0, 392.0)) for _ in range(8)]
        sound = np.concatenate([tones.tone((root, root * 1.26, root * 1.5), seconds / 8) for root in roots])
    elif kind == 3:
        sound = background(round(seconds * TELEPHONE_RATE_HZ), TELEPHONE_RATE_HZ, generator) * np.float32(0.05)
    else:
        sound = tones.silence(seconds)
    count = round(seconds * TELEPHONE_RATE_HZ)
    return np.asarray(np.pad(sound[:count], (0, max(0, count - len(sound)))), np.float32)


def share_of_other_sounds_labelled(predict: Predict, *, window_ms: int, count: int, seed: int) -> Interval:
    """Return the interval of the share of sounds without speech that the model labels at the service's threshold.

    The onset search of the service rejects most of these sounds earlier. This check is about the model alone.
    """
    labelled = 0
    for index in range(count):
        rng = random.Random(f"{seed}/other/{index}")  # noqa: S311 - repeatable, not secret
        heard = Waveform(draw_other_sound(window_ms / 1000, rng), TELEPHONE_RATE_HZ)
        score = predict(cut(heard, onset_ms=0, anchor=Anchor.ANSWER, length_ms=window_ms))
        labelled += max(score, 1 - score) >= THRESHOLD
    return wilson(labelled, count)


def seconds_of_speech(call_start: CallStart, _heard: Sound) -> float:
    """Return the seconds of speech in the call start."""
    return float(np.count_nonzero(call_start.speech)) / TELEPHONE_RATE_HZ


def loudness_db(_call_start: CallStart, heard: Sound) -> float:
    """Return the level of the call in decibels relative to full scale."""
    return float(20 * np.log10(max(float(np.sqrt(np.mean(heard**2))), 1e-6)))


def accuracy_of_best_threshold(
    corpus: Corpus, measure: Measure, *, seconds: float, count: int, seed: int, learn: Split = Split.TRAIN
) -> float:
    """Return the accuracy, on test voices, of the best threshold on one quantity, chosen on the voices of `learn`."""
    values, labels = _measured(corpus, learn, measure, seconds, count, seed)
    candidates = [(sign, at) for sign in (1, -1) for at in np.quantile(values, np.linspace(0, 1, 101))]
    sign, at = max(candidates, key=lambda rule: _accuracy(values, labels, *rule))
    return _accuracy(*_measured(corpus, Split.TEST, measure, seconds, count, seed), sign, at)


def _measured(
    corpus: Corpus, split: Split, measure: Measure, seconds: float, count: int, seed: int
) -> tuple[Sequence[float], Sequence[bool]]:
    drawn = list(draw_recordings(corpus, split, seconds, seed, count))
    return [measure(*one) for one in drawn], [call_start.label is Label.VOICEMAIL for call_start, _ in drawn]


def _accuracy(values: Sequence[float], labels: Sequence[bool], sign: int, at: float) -> float:
    return float(np.mean((np.asarray(values) * sign >= at * sign) == np.asarray(labels)))
