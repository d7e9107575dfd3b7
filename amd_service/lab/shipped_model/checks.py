"""Checks of a trained model on synthetic calls: simple rules that it must beat, other sounds, and announcers.

`python -m amd_service.lab.shipped_model.checks --model FOLDER` prints a table with 95 % intervals and ends with 1 if a
check fails. It also checks that no accidental quantity of the drawn calls predicts the label.
"""

import argparse
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from amd_service.detection.audio.window import cut
from amd_service.detection.classifier.model import read_windows
from amd_service.detection.decision import Policy
from amd_service.domain import Anchor, Label, Waveform
from amd_service.lab.augmentation.chain import send_over_telephone
from amd_service.lab.augmentation.lead import draw_lead
from amd_service.lab.augmentation.surroundings import background
from amd_service.lab.command import run
from amd_service.lab.evaluation.rates import Rate, rate
from amd_service.lab.evaluation.tables import describe_rate
from amd_service.lab.shipped_model.simple_rules import (
    ACCIDENTS,
    RULES,
    DrawnCall,
    draw_calls,
    measure_language_rule,
    measure_rule,
)
from amd_service.lab.shipped_model.trials import Predict, cut_windows, judge_windows, load_predictor
from amd_service.lab.synthesis import tones
from amd_service.lab.synthesis.call_starts import PRESENT_CHANCES
from amd_service.lab.synthesis.corpus import CACHE, Corpus, load_corpus
from amd_service.lab.synthesis.render import RATE_HZ as TELEPHONE_RATE_HZ
from amd_service.lab.synthesis.render import Sound
from amd_service.lab.synthesis.utterances import Kind
from amd_service.lab.synthesis.voices import Split
from amd_service.settings import Settings

MOST_OTHER_SOUNDS = 0.05
MOST_ANNOUNCERS = 0.10
# Chance is 0.5. With 400 calls, chance alone reaches 0.55.
MOST_OF_ACCIDENTS = 0.6


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded model with the policy that it has in a service without settings."""

    predict: Predict
    policy: Policy

    @property
    def windows_ms(self) -> tuple[int, int]:
        return self.policy.window_ms, self.policy.long_window_ms

    def label(self, heard: Sound) -> Label:
        """Return the label of a call at 8 kHz."""
        return judge_windows(self.predict, cut_windows(heard, self.windows_ms), self.policy)[1]

    def score(self, heard: Sound) -> float | None:
        """Return the probability of voicemail on the window that decides. None if no speech was found."""
        return judge_windows(self.predict, cut_windows(heard, self.windows_ms), self.policy)[0]


@dataclass(frozen=True, slots=True)
class Check:
    """A measured share. `bound`: in words. `passed`: None for a figure without a bound."""

    name: str
    found: Rate
    bound: str = ""
    passed: bool | None = None


def load_model(folder: Path) -> Model:
    """Load a model folder. Raises ModelUnusable."""
    return Model(load_predictor(folder), Policy.from_settings(Settings(_env_file=None), read_windows(folder)))


def draw_other_sound(seconds: float, rng: random.Random) -> Sound:
    """Return tones, chords, music, noise or silence, without speech, over a telephone line, at 8 kHz."""
    generator = np.random.default_rng(rng.getrandbits(64))
    kind = rng.randrange(6)
    if kind == 0:
        sound = np.concatenate([tones.beep(rng), tones.keys(rng), tones.special_information()])
    elif kind == 1:
        sound = tones.ringback(seconds, rng.randrange(len(tones.RINGBACKS)))
    elif kind == 2:
        roots = [rng.choice((220.0, 262.0, 294.0, 330.0, 392.0)) for _ in range(8)]
        sound = np.concatenate([tones.tone((root, root * 1.26, root * 1.5), seconds / 8) for root in roots])
    elif kind == 3:
        sound = tones.music(seconds, rng)
    elif kind == 4:
        sound = background(round(seconds * TELEPHONE_RATE_HZ), TELEPHONE_RATE_HZ, generator) * np.float32(0.05)
    else:
        sound = tones.silence(seconds)
    count = round(seconds * TELEPHONE_RATE_HZ)
    whole = np.asarray(np.pad(sound[:count], (0, max(0, count - len(sound)))), np.float32)
    return send_over_telephone(whole, TELEPHONE_RATE_HZ, generator, PRESENT_CHANCES)


def measure_other_sounds(model: Model, *, count: int, seed: int) -> Iterator[Check]:
    """Measure how often a sound without speech gets a label: from the service, and from the model alone.

    The model alone has no bound, because the onset search of the service comes before it.
    """
    served, alone = [], []
    for index in range(count):
        rng = random.Random(f"{seed}/other/{index}")  # noqa: S311 - repeatable, not secret
        heard = Waveform(draw_other_sound(model.policy.long_window_ms / 1000, rng), TELEPHONE_RATE_HZ)
        windows = [cut(heard, onset_ms=0, anchor=Anchor.ANSWER, length_ms=length_ms) for length_ms in model.windows_ms]
        alone.append(judge_windows(model.predict, windows, model.policy)[1] is not Label.UNDECIDED)
        served.append(model.label(heard.samples) is not Label.UNDECIDED)
    yield _at_most("other sounds given a label", served, MOST_OTHER_SOUNDS)
    yield Check("other sounds given a label by the model alone", rate(np.array(alone, bool), np.ones(count, bool)))


def draw_announcer(corpus: Corpus, seconds: float, rng: random.Random) -> Sound:
    """Return a call in which a voice says hello, asks to wait a moment, and is then silent."""
    voice, language = corpus.speaker(Split.TEST, rng)
    generator = np.random.default_rng(rng.getrandbits(64))
    said = [
        draw_lead(TELEPHONE_RATE_HZ, generator),
        corpus.say(voice, language, Kind.OPENING, rng),
        tones.silence(rng.uniform(0.1, 0.5)),
        corpus.say(voice, language, Kind.MOMENT, rng),
        tones.silence(seconds),
    ]
    speech = np.concatenate([np.full(len(sound), index in (1, 3)) for index, sound in enumerate(said)])
    return send_over_telephone(
        np.concatenate(said),
        TELEPHONE_RATE_HZ,
        generator,
        PRESENT_CHANCES,
        babble=lambda: corpus.say(voice, language, Kind.BUSINESS, rng),
        speech=speech,
    )


def measure_announcers(model: Model, corpus: Corpus, *, count: int, seed: int) -> Check:
    """Measure how often a voice that says hello and asks to wait a moment is called voicemail."""
    called = []
    for index in range(count):
        rng = random.Random(f"{seed}/announcer/{index}")  # noqa: S311 - repeatable, not secret
        heard = draw_announcer(corpus, model.policy.long_window_ms / 1000, rng)
        called.append(model.label(heard) is Label.VOICEMAIL)
    return _at_most("announcers' hello called voicemail", called, MOST_ANNOUNCERS)


def measure_rules(model: Model, learn: Sequence[DrawnCall], test: Sequence[DrawnCall]) -> Iterator[Check]:
    """Compare the more probable label of the model, on the window that decides, with each simple rule."""
    # A call without detected speech is wrong.
    right_calls = [
        (score := model.score(call.heard)) is not None and (score > 0.5) == (call.start.label is Label.VOICEMAIL)
        for call in test
    ]
    right = rate(np.array(right_calls), np.ones(len(test), bool))
    yield Check("model: more probable label right", right)
    for name, measure in RULES.items():
        found = measure_rule(measure, learn, test)
        beats = right.low is not None and found.share is not None and right.low > found.share
        yield Check(f"rule: {name}", found, "below the model's interval", beats)


def measure_accidents(learn: Sequence[DrawnCall], test: Sequence[DrawnCall]) -> Iterator[Check]:
    """Measure how well each accidental quantity of the drawn calls predicts the label."""
    found = {name: measure_rule(measure, learn, test) for name, measure in ACCIDENTS.items()}
    for name, share in {**found, "language": measure_language_rule(learn, test)}.items():
        passed = share.share is not None and share.share <= MOST_OF_ACCIDENTS
        yield Check(f"accident: {name}", share, f"at most {MOST_OF_ACCIDENTS:.0%}", passed)


def _at_most(name: str, hits: Sequence[bool], bound: float) -> Check:
    found = rate(np.array(hits, bool), np.ones(len(hits), bool))
    return Check(name, found, f"at most {bound:.0%}", found.share is not None and found.share <= bound)


def as_markdown(checks: Sequence[Check]) -> str:
    """Return the checks as a table in Markdown."""
    results = {True: "pass", False: "FAIL", None: ""}
    lines = ["| check | share [95 % interval] | bound | result |", "|---|---|---|---|"]
    lines += [
        f"| {each.name} | {describe_rate(each.found)} | {each.bound} | {results[each.passed]} |" for each in checks
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Check a trained model on synthetic calls.")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=7, help="seed of the corpus and of the calls")
    parser.add_argument("--count", type=int, default=400, help="calls of each check")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the planned utterances in the corpus")
    parser.add_argument("--cache", type=Path, default=CACHE)
    options = parser.parse_args(arguments)
    model, count, seed = load_model(options.model), options.count, options.seed
    splits = (Split.VALIDATION, Split.TEST)
    corpus = load_corpus(seed, scale=options.scale, splits=splits, cache=options.cache)
    seconds = model.policy.long_window_ms / 1000
    learn, test = (draw_calls(corpus, split, seconds=seconds, count=count, seed=seed) for split in splits)
    checks = [
        *measure_rules(model, learn, test),
        *measure_other_sounds(model, count=count, seed=seed),
        measure_announcers(model, corpus, count=count, seed=seed),
        *measure_accidents(learn, test),
    ]
    print(as_markdown(checks))  # noqa: T201 - output of a command
    sys.exit(any(check.passed is False for check in checks))


if __name__ == "__main__":
    run(main)
