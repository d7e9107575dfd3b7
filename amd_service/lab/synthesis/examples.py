"""Draws training examples: windows as the service cuts them, each with a target probability."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray

from amd_service.domain import Label
from amd_service.lab.augmentation.chain import Chances, hide_voice, send_over_telephone
from amd_service.lab.synthesis.call_starts import (
    PRESENT,
    PRESENT_CHANCES,
    CallStart,
    Style,
    build_call_start,
)
from amd_service.lab.synthesis.corpus import Corpus
from amd_service.lab.synthesis.render import RATE_HZ, Sound
from amd_service.lab.synthesis.utterances import Kind
from amd_service.lab.synthesis.voices import Split, Voice

MODEL_RATE_HZ = 16_000
_TRUE_TARGET = 0.97  # label smoothing: with a target of 1.0 the model learns to be overconfident
_MIN_SPEECH_S = 0.15


@dataclass(frozen=True, eq=False)
class Example:
    """`samples`: float32 at 16 kHz, not yet normalised. `target`: probability of voicemail to learn.

    `sounds`: class of each sample of the window at 8 kHz, as position in `SOUNDS`.
    """

    samples: NDArray[np.float32]
    sounds: NDArray[np.int64]
    target: float
    label: Label
    voice: Voice | None
    language: str | None


def draw_example(corpus: Corpus, split: Split, seconds: float, rng: random.Random, style: Style = PRESENT) -> Example:
    """Draw one random window of `seconds`. Both labels are equally likely; some windows have no speech."""
    return draw_examples(corpus, split, seconds, rng, style)[0]


def draw_examples(
    corpus: Corpus, split: Split, seconds: float, rng: random.Random, style: Style, *, lines: int = 1
) -> list[Example]:
    """Draw the same window of one random call over `lines` telephone lines."""
    has_no_speech = rng.random() < style.no_speech
    label = Label.UNDECIDED if has_no_speech else rng.choice((Label.HUMAN, Label.VOICEMAIL))
    call_start = build_call_start(corpus, split, label, seconds, rng, style)
    start = round(_window_start_s(call_start, rng) * RATE_HZ)
    count = round(seconds * RATE_HZ)
    spoken_s = float(np.count_nonzero(call_start.speech[start : start + count])) / RATE_HZ
    if label is Label.UNDECIDED or spoken_s < _MIN_SPEECH_S:
        target = 0.5
    else:
        target = _TRUE_TARGET if label is Label.VOICEMAIL else 1 - _TRUE_TARGET
    heard = [_send(corpus, split, call_start, rng, style.chances) for _ in range(lines)]
    windows = [soxr.resample(one[start : start + count], RATE_HZ, MODEL_RATE_HZ, quality="HQ") for one in heard]
    sounds = call_start.sounds[start : start + count]
    return [
        Example(np.asarray(window, np.float32), sounds, target, label, call_start.voice, call_start.language)
        for window in windows
    ]


def draw_recordings(
    corpus: Corpus, split: Split, seconds: float, seed: int, count: int
) -> Iterator[tuple[CallStart, Sound]]:
    """Draw `count` call starts at 8 kHz, half of each label, as input for the service's onset search and window cut."""
    for index in range(count):
        rng = random.Random(f"{seed}/recording/{index}")  # noqa: S311 - repeatable, not secret
        call_start = build_call_start(corpus, split, (Label.HUMAN, Label.VOICEMAIL)[index % 2], seconds, rng)
        yield call_start, _send(corpus, split, call_start, rng, PRESENT_CHANCES)


def _send(corpus: Corpus, split: Split, call_start: CallStart, rng: random.Random, chances: Chances) -> Sound:
    """Return the call start as it arrives over a random telephone line."""

    def babble() -> Sound:
        voice, language = corpus.speaker(split, rng)
        return corpus.say(voice, language, rng.choice((Kind.BUSINESS, Kind.GREETING)), rng)

    generator = np.random.default_rng(rng.getrandbits(64))
    hidden = hide_voice(call_start.samples, RATE_HZ, generator, chances)
    return send_over_telephone(hidden, RATE_HZ, generator, chances, babble=babble, speech=call_start.speech)


def _window_start_s(call_start: CallStart, rng: random.Random) -> float:
    """Start of the window for the anchor `auto`, with the small (rarely large) errors of an onset search."""
    if call_start.onset_s is None:
        return 0.0
    found_s = call_start.onset_s + rng.gauss(0.0, 0.04)
    if rng.random() < 0.05:
        found_s = rng.uniform(0.0, call_start.onset_s)
    return max(0.0, found_s - 0.2) if found_s > 1.0 else 0.0
