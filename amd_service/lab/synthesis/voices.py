"""The synthetic voices, and the split that each belongs to.

All voices of one speaker are in one split. flite's `kal` and `kal16` and festival's `kal_diphone` are one man. flite's
and festival's `slt` are one woman. An espeak-ng voice is a variant (a vocal tract), the same in every language. Every
voice occurs under both labels.
"""

from dataclasses import dataclass
from enum import StrEnum


class Engine(StrEnum):
    ESPEAK = "espeak-ng"
    FLITE = "flite"
    FESTIVAL = "festival"


class Split(StrEnum):
    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Voice:
    """`name`: the engine's name of the voice. `speaker`: the same for all voices of one person or vocal tract."""

    engine: Engine
    name: str
    speaker: str
    split: Split


# espeak-ng's accents by the language of the phrase book. The split is by vocal tract, so every split has all accents.
# `en-gb` and `fr-fr` are missing: with these names espeak-ng 1.51 ignores the variant, so all voices sound the same.
ACCENTS = {
    "en": ("en-us", "en-us", "en", "en-gb-x-rp", "en-gb-scotland", "en-029"),
    "es": ("es", "es-419"),
    "de": ("de",),
    "fr": ("fr", "fr-be"),
    "it": ("it",),
    "pt": ("pt", "pt-br"),
    "nl": ("nl",),
    "pl": ("pl",),
}

_ESPEAK = {
    Split.TRAIN: (
        "m1", "m2", "m3", "m5", "m6", "m8", "f1", "f2", "f4", "klatt", "klatt3", "klatt4", "Andy", "Annie", "Alex",
        "Gene", "Denis", "Jacky", "Lee", "Mario", "Michael", "adam", "linda", "paul", "steph", "belinda", "david",
        "edward", "max", "rob", "shelby", "travis", "grandma", "sandro",
    ),
    Split.VALIDATION: ("m4", "f3", "klatt2", "Alicia", "Hugo", "john", "miguel", "anika"),
    Split.TEST: ("m7", "f5", "Andrea", "Mike", "Marco", "robert", "grandpa", "steph3", "zac", "victor", "Henrique"),
}  # fmt: skip

_RECORDED = (
    Voice(Engine.FLITE, "kal", "kal", Split.TRAIN),
    Voice(Engine.FLITE, "kal16", "kal", Split.TRAIN),
    Voice(Engine.FLITE, "slt", "slt", Split.TRAIN),
    Voice(Engine.FLITE, "awb", "awb", Split.VALIDATION),
    Voice(Engine.FLITE, "rms", "rms", Split.TEST),
    Voice(Engine.FESTIVAL, "kal_diphone", "kal", Split.TRAIN),
    Voice(Engine.FESTIVAL, "cmu_us_slt_arctic_hts", "slt", Split.TRAIN),
    Voice(Engine.FESTIVAL, "ked_diphone", "ked", Split.TEST),
)


def voices() -> tuple[Voice, ...]:
    """Return every voice. festival has only three speakers, so none of them is in the validation split."""
    variants = tuple(
        Voice(Engine.ESPEAK, name, f"espeak-{name}", split) for split, names in _ESPEAK.items() for name in names
    )
    return variants + _RECORDED


def voice_named(engine: Engine, name: str) -> Voice:
    """Return the voice that `engine` calls `name`. Raises KeyError if the engine has no voice of this name."""
    return {(voice.engine, voice.name): voice for voice in voices()}[engine, name]
