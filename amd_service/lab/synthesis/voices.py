"""The synthetic voices, and the split that each belongs to.

All voices of one speaker are in one split. flite's `kal` and `kal16` and festival's `kal_diphone` are one man. flite's
and festival's `slt` are one woman. An espeak-ng voice is a variant (a vocal tract), the same in every language. Every
voice occurs under both labels.
"""

from collections.abc import Iterator
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
    languages: tuple[str, ...] = ("en",)


# espeak-ng's accents by the language of the phrase book. The split is by vocal tract, so every split has all accents.
# `en-gb` and `fr-fr` are missing: with these names espeak-ng 1.51 ignores the variant, so all voices sound the same.
ACCENTS = {
    "en": ("en-us", "en-us", "en", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-scotland", "en-029"),
    "cs": ("cs",),
    "de": ("de",),
    "es": ("es", "es-419"),
    "fi": ("fi",),
    "fr": ("fr", "fr-be", "fr-ch"),
    "it": ("it",),
    "nl": ("nl",),
    "pl": ("pl",),
    "pt": ("pt", "pt-br"),
    "ru": ("ru",),
    "sv": ("sv",),
    "tr": ("tr",),
}

# Any two of these variants differ by 1.5 dB or more: `distinct_voices.py` measures the difference. Whispers, robots and
# croaks are left out.
ESPEAK_VARIANTS = {
    Split.TRAIN: (
        "m1", "m2", "m3", "m5", "m6", "m8", "f1", "f2", "f4", "klatt", "klatt3", "klatt4", "Andy", "AnxiousAndy",
        "Annie", "Gene", "Denis", "Jacky", "Lee", "Mario", "Michael", "linda", "paul", "steph", "belinda", "david",
        "edward", "max", "shelby", "travis", "grandma", "sandro", "aunty", "benjamin", "boris", "ed", "norbert",
        "pedro", "RicishayMax", "RicishayMax2", "Alex", "edward2",
    ),
    Split.VALIDATION: ("m4", "f3", "Alicia", "Hugo", "miguel", "anika", "gustave", "antonio"),
    Split.TEST: (
        "m7", "f5", "Andrea", "Mike", "Marco", "robert", "zac", "victor", "Henrique", "Nguyen", "iven", "marcelo",
        "pablo",
    ),
}  # fmt: skip

# Languages of an espeak-ng voice beside English. With all languages it would have few utterances in each.
_OTHER_LANGUAGES = 5

_RECORDED = (
    Voice(Engine.FLITE, "kal", "kal", Split.TRAIN),
    Voice(Engine.FLITE, "kal16", "kal", Split.TRAIN),
    Voice(Engine.FLITE, "slt", "slt", Split.TRAIN),
    Voice(Engine.FLITE, "awb", "awb", Split.VALIDATION),
    Voice(Engine.FLITE, "rms", "rms", Split.TEST),
    Voice(Engine.FESTIVAL, "kal_diphone", "kal", Split.TRAIN),
    Voice(Engine.FESTIVAL, "cmu_us_slt_arctic_hts", "slt", Split.TRAIN),
    Voice(Engine.FESTIVAL, "lp_diphone", "lp", Split.TRAIN, ("it",)),
    Voice(Engine.FESTIVAL, "czech_ph", "ph", Split.TRAIN, ("cs",)),
    Voice(Engine.FESTIVAL, "czech_dita", "dita", Split.TRAIN, ("cs",)),
    Voice(Engine.FESTIVAL, "hy_fi_mv_diphone", "mv", Split.TRAIN, ("fi",)),
    Voice(Engine.FESTIVAL, "msu_ru_nsh_clunits", "nsh", Split.TRAIN, ("ru",)),
    Voice(Engine.FESTIVAL, "suo_fi_lj_diphone", "lj", Split.VALIDATION, ("fi",)),
    Voice(Engine.FESTIVAL, "ked_diphone", "ked", Split.TEST),
    Voice(Engine.FESTIVAL, "pc_diphone", "pc", Split.TEST, ("it",)),
    Voice(Engine.FESTIVAL, "czech_machac", "machac", Split.TEST, ("cs",)),
)


def voices() -> tuple[Voice, ...]:
    """Return every voice."""
    return (*_espeak_voices(), *_RECORDED)


def _espeak_voices() -> Iterator[Voice]:
    """Return the variants, each with English and with the next few of the other languages, round and round."""
    others = [code for code in ACCENTS if code != "en"]
    for split, names in ESPEAK_VARIANTS.items():
        for index, name in enumerate(names):
            first = index * _OTHER_LANGUAGES
            chosen = [others[(first + step) % len(others)] for step in range(_OTHER_LANGUAGES)]
            yield Voice(Engine.ESPEAK, name, f"espeak-{name}", split, ("en", *chosen))


def voice_named(engine: Engine, name: str) -> Voice:
    """Return the voice that `engine` calls `name`. Raises KeyError if the engine has no voice of this name."""
    return {(voice.engine, voice.name): voice for voice in voices()}[engine, name]
