"""Draws scenes: what a called party's channel can contain, with the true beep of each scene."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from amd_service.lab.augmentation.line import compand, lose_packets
from amd_service.lab.augmentation.spectrum import limit_band
from amd_service.lab.evidence import signals
from amd_service.lab.synthesis.render import RATE_HZ, Sound
from amd_service.lab.synthesis.tones import silence

SCENE_S = 20.0
LOOK_ALIKES = ("ringback", "busy", "sit", "dtmf", "cng", "ced", "music", "vowel")


@dataclass(frozen=True, eq=False)
class Scene:
    """`kind`: `beep`, `speech`, or a sound of LOOK_ALIKES with or without speech before it.

    `beep_ms`: start and end of the beep, where its amplitude passes half of its maximum. None without a beep.
    """

    kind: str
    samples: Sound
    beep_ms: tuple[float, float] | None
    has_speech: bool


def draw_scenes(utterances: Sequence[Sound], seed: int, count: int) -> Iterator[Scene]:
    """Draw scenes; every second one has a beep. The same seed gives the same scenes. `utterances`: speech at 8 kHz."""
    for index in range(count):
        rng = random.Random(f"{seed}/{index}")  # noqa: S311 - repeatable, not secret
        yield _beep_scene(utterances, rng) if index % 2 == 0 else _other_scene(utterances, rng)


def _beep_scene(utterances: Sequence[Sound], rng: random.Random) -> Scene:
    # Machines say more than one word.
    speech = _speech([each for each in utterances if len(each) > RATE_HZ], rng)
    beep = signals.draw_beep(rng)
    level = 10 ** (rng.uniform(-12, 6) / 20)
    gap = silence(rng.uniform(0.03, 1.5))
    before = [silence(rng.uniform(0, 1)), speech, gap]
    if rng.random() < 0.1:  # two beeps: the last one counts
        before += [level * beep.samples, silence(rng.uniform(0.15, 0.5))]
    start_s = sum(len(part) for part in before) / RATE_HZ
    sound = np.concatenate([*before, level * beep.samples, silence(rng.uniform(0.6, 5))])
    truth = ((start_s + beep.start_s) * 1000, (start_s + beep.end_s) * 1000)
    return Scene("beep", _through_telephone(sound, rng), truth, has_speech=True)


def _other_scene(utterances: Sequence[Sound], rng: random.Random) -> Scene:
    kind = rng.choice(("speech", "speech", *LOOK_ALIKES))
    lead = [silence(rng.uniform(0, 1))]
    if kind == "speech":
        parts = [*lead, _speech(utterances, rng), silence(rng.uniform(0.5, 3))]
        if rng.random() < 0.5:
            parts += [_speech(utterances, rng), silence(rng.uniform(0.3, 3))]
        return Scene(kind, _through_telephone(np.concatenate(parts), rng), None, has_speech=True)
    sound = 10 ** (rng.uniform(-10, 3) / 20) * draw_look_alike(kind, rng)
    has_speech = rng.random() < 0.6
    if has_speech:
        lead += [_speech(utterances, rng), silence(rng.uniform(0.05, 1.5))]
    after = [silence(rng.uniform(0.6, 4))]
    if rng.random() < 0.2:
        after += [_speech(utterances, rng)]
        has_speech = True
    return Scene(kind, _through_telephone(np.concatenate([*lead, sound, *after]), rng), None, has_speech=has_speech)


def draw_look_alike(kind: str, rng: random.Random) -> Sound:
    """Draw a sound of LOOK_ALIKES."""
    match kind:
        case "ringback":
            frequencies, pattern = rng.choice(signals.RINGBACKS)
            return signals.cadence(frequencies, pattern, rng.uniform(1.5, 2.5) * sum(pattern), rng.uniform(0, 0.3))
        case "busy":
            frequencies, pattern = rng.choice(signals.BUSY_TONES)
            return signals.cadence(frequencies, pattern, rng.uniform(3, 8), rng.uniform(0, 0.2))
        case "sit":
            return signals.information_tone(rng.choice(tuple(signals.SIT)))
        case "dtmf":
            return signals.touch_tones(rng, "".join(rng.choices("0123456789*#", k=rng.randint(1, 5))))
        case "cng":
            return signals.calling_tone(rng.uniform(4.5, 9))
        case "ced":
            return signals.answer_tone(rng)
        case "music":
            return signals.music(rng, rng.uniform(3, 10))
        case _:
            return signals.vowel(rng)


def _speech(utterances: Sequence[Sound], rng: random.Random) -> Sound:
    sound = rng.choice(utterances)
    return sound / max(float(np.abs(sound).max(initial=0.0)), 1e-6)


def _through_telephone(sound: Sound, rng: random.Random) -> Sound:
    """Add level, noise, band limits, lost packets and mu-law, each drawn independently. At most SCENE_S long."""
    noise_rng = np.random.default_rng(rng.getrandbits(64))
    sound = sound[: round(SCENE_S * RATE_HZ)]
    loudness = float(np.sqrt(np.mean(sound[np.abs(sound) > 0.02] ** 2)))
    noise = noise_rng.standard_normal(len(sound)).astype(np.float32)
    if rng.random() < 0.4:
        noise = limit_band(noise, RATE_HZ, 100, rng.uniform(800, 2000))
    snr_db = rng.uniform(15, 55)
    sound = sound + noise * (loudness * 10 ** (-snr_db / 20) / max(float(noise.std()), 1e-6))
    if rng.random() < 0.7:
        sound = limit_band(sound, RATE_HZ, rng.uniform(150, 300), rng.uniform(3000, 3800))
    sound = sound * 10 ** (-rng.uniform(3, 30) / 20)
    if rng.random() < 0.3:
        sound = lose_packets(sound, RATE_HZ, rng.uniform(0.005, 0.03), noise_rng)
    if rng.random() < 0.85:
        sound = compand(sound)
    return np.clip(sound, -1, 1).astype(np.float32)
