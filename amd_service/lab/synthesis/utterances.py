"""Plans the utterances to render: voice and text of each utterance. The same seed gives the same plan."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from amd_service.lab.synthesis.phrases import BOOKS, COMPANIES, NAMES
from amd_service.lab.synthesis.voices import ACCENTS, Engine, Split, Voice, voices


class Kind(StrEnum):
    """The role of an utterance in a call start. `OPENING` begins both human and voicemail calls."""

    OPENING = "opening"
    ANSWER = "answer"
    BUSINESS = "business"
    FOLLOW = "follow"
    GREETING = "greeting"


@dataclass(frozen=True, slots=True)
class Utterance:
    """One utterance. `rate`, `pitch`: factors relative to the voice's default speaking rate and pitch."""

    voice: Voice
    kind: Kind
    language: str
    accent: str
    text: str
    rate: float
    pitch: float


# Shares of a voice's utterances in percent. Greetings vary most in wording, so they need the most utterances.
_KINDS: Mapping[Kind, int] = {
    Kind.GREETING: 40,
    Kind.BUSINESS: 24,
    Kind.ANSWER: 18,
    Kind.OPENING: 12,
    Kind.FOLLOW: 6,
}

# Utterances per engine and split. festival takes a second per utterance, the other engines a twentieth of a second.
_QUOTA: Mapping[tuple[Engine, Split], int] = {
    (Engine.ESPEAK, Split.TRAIN): 6400,
    (Engine.ESPEAK, Split.VALIDATION): 700,
    (Engine.ESPEAK, Split.TEST): 1100,
    (Engine.FLITE, Split.TRAIN): 2700,
    (Engine.FLITE, Split.VALIDATION): 350,
    (Engine.FLITE, Split.TEST): 500,
    (Engine.FESTIVAL, Split.TRAIN): 1800,
    (Engine.FESTIVAL, Split.TEST): 500,
}


def plan_utterances(seed: int, *, scale: float = 1.0) -> list[Utterance]:
    """Return every utterance to render, in a fixed order.

    `scale`: factor for the number of utterances of each voice.
    """
    return [utterance for voice in voices() for utterance in _utterances_of(voice, seed, scale)]


def _utterances_of(voice: Voice, seed: int, scale: float) -> Iterator[Utterance]:
    rng = random.Random(f"{seed}/{voice.engine}/{voice.name}")  # noqa: S311 - repeatable, not secret
    peers = [other for other in voices() if (other.engine, other.split) == (voice.engine, voice.split)]
    count = max(len(_KINDS), round(_QUOTA[voice.engine, voice.split] * scale / len(peers)))
    kinds = [kind for kind, share in _KINDS.items() for _ in range(share)]
    for index in range(count):
        # The first utterances cover each kind once, so that even in a tiny plan every voice occurs under both labels.
        kind = list(_KINDS)[index] if index < len(_KINDS) else rng.choice(kinds)
        yield _utterance(voice, kind, rng, only_english=voice.engine is not Engine.ESPEAK or index < len(_KINDS))


def _utterance(voice: Voice, kind: Kind, rng: random.Random, *, only_english: bool) -> Utterance:
    other_languages = [code for code in BOOKS if code != "en"]
    language = "en" if only_english or rng.random() < 0.55 else rng.choice(other_languages)
    template = rng.choice(BOOKS[language][kind.value])
    return Utterance(
        voice=voice,
        kind=kind,
        language=language,
        accent=rng.choice(ACCENTS[language]),
        text=fill_template(template, rng),
        rate=rng.uniform(0.85, 1.3),
        pitch=rng.uniform(0.85, 1.2),
    )


def fill_template(template: str, rng: random.Random) -> str:
    """Fill the slots of the template with random values."""
    digits = rng.choices("0123456789", k=rng.choice((4, 7, 10)))
    number = " ".join(digits[:3]) + ", " + " ".join(digits[3:])
    return template.format(
        name=rng.choice(NAMES), company=rng.choice(COMPANIES), number=number, time=rng.choice(("eight", "nine", "ten"))
    )
