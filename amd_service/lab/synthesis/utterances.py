"""Plans the utterances to render: voice and text of each utterance. The same seed gives the same plan."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from amd_service.lab.synthesis.phrase_books import choose_template, fill_template, read_books
from amd_service.lab.synthesis.voices import ACCENTS, Engine, Split, Voice, voices


class Kind(StrEnum):
    """The role of an utterance in a call start.

    `OPENING` begins both human and voicemail calls. People say `ANSWER`, `BUSINESS`, or `MOMENT` (they ask the caller
    to wait), and `FOLLOW` when they wait for the caller to speak. Machines say `GREETING`. `SCREENING` is an assistant
    that asks who is calling, which is neither.
    """

    OPENING = "opening"
    ANSWER = "answer"
    BUSINESS = "business"
    MOMENT = "moment"
    FOLLOW = "follow"
    GREETING = "greeting"
    SCREENING = "screening"


@dataclass(frozen=True, slots=True)
class Utterance:
    """One utterance. `rate`, `pitch`, `formants`: factors relative to the voice's defaults."""

    voice: Voice
    kind: Kind
    language: str
    accent: str
    text: str
    rate: float
    pitch: float
    formants: float = 1.0


# Shares of a voice's utterances in percent. Greetings vary most in wording, so they need the most utterances.
_KINDS: Mapping[Kind, int] = {
    Kind.GREETING: 34,
    Kind.BUSINESS: 25,
    Kind.ANSWER: 18,
    Kind.OPENING: 10,
    Kind.FOLLOW: 6,
    Kind.MOMENT: 4,
    Kind.SCREENING: 3,
}

# Utterances per engine and split. festival takes a second per utterance, the other engines a twentieth of a second.
_QUOTA: Mapping[tuple[Engine, Split], int] = {
    (Engine.ESPEAK, Split.TRAIN): 12_000,
    (Engine.ESPEAK, Split.VALIDATION): 1400,
    (Engine.ESPEAK, Split.TEST): 2400,
    (Engine.FLITE, Split.TRAIN): 3600,
    (Engine.FLITE, Split.VALIDATION): 400,
    (Engine.FLITE, Split.TEST): 700,
    (Engine.FESTIVAL, Split.TRAIN): 4000,
    (Engine.FESTIVAL, Split.VALIDATION): 300,
    (Engine.FESTIVAL, Split.TEST): 1200,
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
    # The first utterances cover each kind in each language once, so that a voice occurs under both labels.
    covered = [(kind, language) for language in voice.languages for kind in _KINDS]
    # As many utterances in the first language (English) as in two other languages.
    languages = [voice.languages[0], *voice.languages]
    for index in range(count):
        if index < len(covered):
            kind, language = covered[index]
        else:
            kind, language = rng.choices(list(_KINDS), list(_KINDS.values()))[0], rng.choice(languages)
        yield _utterance(voice, kind, language, rng)


def _utterance(voice: Voice, kind: Kind, language: str, rng: random.Random) -> Utterance:
    book = read_books()[language]
    template = choose_template(book, kind.value, voice.split, rng)
    return Utterance(
        voice=voice,
        kind=kind,
        language=language,
        accent=rng.choice(ACCENTS[language]),
        text=fill_template(template, book.slots, rng),
        rate=rng.uniform(0.85, 1.3),
        pitch=rng.uniform(0.8, 1.25),
        formants=rng.uniform(0.92, 1.09),
    )
