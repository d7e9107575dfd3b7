"""Reads the phrase books: what people and machines say in the first seconds of a call.

`books/LANGUAGE.toml` has a table for each kind of utterance, and in it the templates of each split, one a line. No
template is in two splits. In a template, `(a|b)` is a choice and `{name}` is a slot. The table `slots` has the values
of the slots, and `{number}` is a spoken telephone number. All sentences were written for this project.
"""

import random
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from math import prod
from pathlib import Path

from amd_service.lab.synthesis.voices import Split

_FOLDER = Path(__file__).with_name("books")
_CHOICE = re.compile(r"\(([^()]*)\)")


@dataclass(frozen=True, slots=True)
class Book:
    """`templates`: by kind and split. `slots`: values by slot name."""

    templates: Mapping[tuple[str, Split], tuple[str, ...]]
    slots: Mapping[str, tuple[str, ...]]


@cache
def read_books() -> Mapping[str, Book]:
    """Return the phrase book of every language, by its ISO 639-1 code."""
    return {path.stem: _parse(path.read_text(encoding="utf-8")) for path in sorted(_FOLDER.glob("*.toml"))}


def _parse(text: str) -> Book:
    stored = tomllib.loads(text)
    slots = {name: tuple(values) for name, values in stored.pop("slots").items()}
    templates = {
        (kind, split): tuple(by_split[split].split("\n")[:-1]) for kind, by_split in stored.items() for split in Split
    }
    return Book(templates, slots)


def choose_template(book: Book, kind: str, split: Split, rng: random.Random) -> str:
    """Choose a template. One with many sentences is more likely, by the square root of their number."""
    templates = book.templates[kind, split]
    return rng.choices(templates, [count_sentences(template) ** 0.5 for template in templates])[0]


def fill_template(template: str, slots: Mapping[str, tuple[str, ...]], rng: random.Random) -> str:
    """Make every choice of the template and fill its slots, at random."""
    chosen = _CHOICE.sub(lambda found: rng.choice(found[1].split("|")), template)
    digits = rng.choices("0123456789", k=rng.choice((4, 7, 10)))
    number = " ".join(digits[:3]) + ", " + " ".join(digits[3:])
    return chosen.format(number=number, **{name: rng.choice(values) for name, values in slots.items()})


@cache
def count_sentences(template: str) -> int:
    """Count the sentences that the choices of the template give."""
    return prod(choices.count("|") + 1 for choices in _CHOICE.findall(template))


def sentences(template: str) -> Iterator[str]:
    """Return the sentences that the choices of the template give, with unfilled slots."""
    fixed_and_choices = _CHOICE.split(template)
    options = [part.split("|") if index % 2 else [part] for index, part in enumerate(fixed_and_choices)]
    return ("".join(parts) for parts in product(*options))
