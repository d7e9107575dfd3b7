"""Builds the start of a call from utterances, pauses, rings and beeps, by the same rules for every voice."""

import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray

from amd_service.domain import Label
from amd_service.lab.augmentation.chain import Chances
from amd_service.lab.augmentation.lead import draw_lead
from amd_service.lab.augmentation.surroundings import background
from amd_service.lab.augmentation.voice import VoiceShift, shift_voice
from amd_service.lab.synthesis import tones
from amd_service.lab.synthesis.corpus import Corpus
from amd_service.lab.synthesis.render import RATE_HZ, Sound
from amd_service.lab.synthesis.utterances import Kind
from amd_service.lab.synthesis.voices import Split, Voice

# Classes of a sample: silence, a tone (also music, or noise instead of speech), or a kind of utterance.
SOUNDS = ("silence", "tone", *Kind)
_FIRST_KIND = 2


@dataclass(frozen=True, eq=False)
class CallStart:
    """The called party's side of the start of a call, without line effects, at 8 kHz.

    `sounds` has the class of each sample, as position in `SOUNDS`; `onset_s` is the time of the first sample of speech.
    A call start labelled `Label.UNDECIDED` has no speech, or an assistant that asks who is calling.
    """

    samples: Sound
    sounds: NDArray[np.int64]
    onset_s: float | None
    label: Label
    voice: Voice | None
    language: str | None

    @property
    def speech(self) -> NDArray[np.bool_]:
        """Marks the samples that are speech."""
        return self.sounds >= _FIRST_KIND


PRESENT_CHANCES = Chances(voice_shift=0, equaliser=0, tilt=0, overload=0)


@dataclass(frozen=True, slots=True)
class Style:
    """How calls are made up.

    - `no_speech`: share of the examples that have no speech or an assistant, and no label;
    - `no_beep`, `late_beep`: share of the machines that never beep, and of the others that beep up to 3 s late;
    - `cut_off`: share of the machines whose greeting breaks off after 2 to 5 s, and is followed by silence;
    - `other_voice`: probability that an utterance has another voice than the first one;
    - `screening`: probability that an undecided call has an assistant that asks who is calling, instead of no speech.
    """

    chances: Chances = PRESENT_CHANCES
    no_speech: float = 0.06
    no_beep: float = 0.3
    late_beep: float = 0.0
    cut_off: float = 0.0
    other_voice: float = 0.0
    screening: float = 0.0


PRESENT = Style()


class _Timeline:
    """Sounds in sequence, with the class of each sample."""

    def __init__(self) -> None:
        self._samples: list[Sound] = []
        self._sounds: list[NDArray[np.int64]] = []

    def add(self, samples: Sound, kind: Kind | None = None) -> None:
        self._samples.append(samples)
        self._sounds.append(np.full(len(samples), SOUNDS.index(kind)) if kind else (samples != 0).astype(np.int64))

    def cut(self, seconds: float) -> None:
        """Remove all sounds later than `seconds` after the first speech."""
        samples, sounds = np.concatenate(self._samples), np.concatenate(self._sounds)
        end = int(np.argmax(sounds >= _FIRST_KIND)) + round(seconds * RATE_HZ)
        self._samples, self._sounds = [samples[:end]], [sounds[:end]]

    def build(self, seconds: float, label: Label, voice: Voice | None, language: str | None) -> CallStart:
        """Return the added sounds, cut or padded with silence to `seconds` after the first speech (or the start)."""
        fill = tones.silence(seconds)
        samples = np.concatenate([*self._samples, fill])
        sounds = np.concatenate([*self._sounds, np.zeros(len(fill), np.int64)])
        spoken = np.flatnonzero(sounds >= _FIRST_KIND)
        onset_s = float(spoken[0]) / RATE_HZ if spoken.size else None
        count = round(((onset_s or 0.0) + seconds) * RATE_HZ)
        return CallStart(samples[:count], sounds[:count], onset_s, label, voice, language)


def build_call_start(
    corpus: Corpus, split: Split, label: Label, seconds: float, rng: random.Random, style: Style = PRESENT
) -> CallStart:
    """Return a call start of `label`, long enough for a window of `seconds` after the onset of speech."""
    if label is Label.UNDECIDED and rng.random() >= style.screening:
        return _build_without_speech(seconds, rng)
    voice, language = corpus.speaker(split, rng)
    timeline = _Timeline()
    timeline.add(draw_lead(RATE_HZ, np.random.default_rng(rng.getrandbits(64))))
    change = _draw_voice_change(rng, style)

    def say(kind: Kind) -> None:
        speaker = corpus.speaker(split, rng) if rng.random() < style.other_voice else (voice, language)
        timeline.add(change(corpus.say(*speaker, kind, rng)), kind)

    if label is Label.UNDECIDED:
        say(Kind.SCREENING)
    elif label is Label.HUMAN:
        _add_person(timeline, say, rng)
    else:
        _add_machine(timeline, say, rng, style)
    return timeline.build(seconds + 0.5, label, voice, language)


def _draw_voice_change(rng: random.Random, style: Style) -> Callable[[Sound], Sound]:
    """Return one change of the voice for all utterances of a call: a shift, or a faster or slower playback."""
    if rng.random() < style.chances.voice_shift:
        shift = VoiceShift.draw(np.random.default_rng(rng.getrandbits(64)))
        return lambda sound: shift_voice(sound, RATE_HZ, shift)
    pace = rng.uniform(0.92, 1.09)  # resampling changes tempo and pitch together, to get more distinct voices
    return lambda sound: np.asarray(soxr.resample(sound, RATE_HZ * pace, RATE_HZ, quality="LQ"), np.float32)


def _add_person(timeline: _Timeline, say: Callable[[Kind], None], rng: random.Random) -> None:
    """Add the sounds of a person who answers, then waits, and may speak again."""
    draw = rng.random()
    if draw < 0.5:
        say(Kind.ANSWER)
    elif draw < 0.62:
        say(Kind.OPENING)
    elif draw < 0.67:
        say(Kind.MOMENT)
    elif draw < 0.88:
        say(Kind.BUSINESS)
    else:
        say(Kind.OPENING)
        timeline.add(tones.silence(rng.uniform(0.1, 0.5)))
        say(Kind.BUSINESS if draw < 0.98 else Kind.MOMENT)
    while rng.random() < 0.5:
        timeline.add(tones.silence(rng.uniform(0.6, 3.0)))
        say(Kind.FOLLOW)


def _add_machine(timeline: _Timeline, say: Callable[[Kind], None], rng: random.Random, style: Style) -> None:
    """Add a recorded greeting, often with a hello first and usually with a beep at the end."""
    draw = rng.random()
    if draw < 0.06:
        timeline.add(tones.special_information(rng.uniform(0.1, 0.3)))
    elif draw < 0.42:
        say(Kind.OPENING)
        timeline.add(tones.silence(rng.uniform(0.08, 0.5)))
    say(Kind.GREETING)
    while rng.random() < 0.4:
        timeline.add(tones.silence(rng.uniform(0.15, 0.6)))
        say(Kind.GREETING)
    if rng.random() < style.cut_off:
        timeline.cut(rng.uniform(2, 5))
    elif rng.random() >= style.no_beep:
        timeline.add(tones.silence(rng.uniform(0.8, 3.0) if rng.random() < style.late_beep else rng.uniform(0.1, 0.8)))
        timeline.add(tones.beep(rng))


def _build_without_speech(seconds: float, rng: random.Random) -> CallStart:
    """Build a start of silence, noise, music or tones, which the model gets when the onset search fails."""
    timeline = _Timeline()
    draw = rng.random()
    if draw < 0.25:
        timeline.add(tones.music(seconds + 0.5, rng))
    elif draw < 0.4:
        noise = background(round((seconds + 0.5) * RATE_HZ), RATE_HZ, np.random.default_rng(rng.getrandbits(64)))
        timeline.add(noise * np.float32(rng.uniform(0.02, 0.2)))
    while draw >= 0.4 and rng.random() < 0.75:
        timeline.add(tones.silence(rng.uniform(0.0, 1.5)))
        timeline.add(
            rng.choice(
                (
                    lambda: tones.beep(rng),
                    lambda: tones.ringback(rng.uniform(0.5, seconds), rng.randrange(len(tones.RINGBACKS))),
                    lambda: tones.special_information(),
                    lambda: tones.keys(rng),
                )
            )()
        )
    return timeline.build(seconds + 0.5, Label.UNDECIDED, None, None)
