import random
import re
from collections import defaultdict

import pytest

from amd_service.lab.synthesis.phrase_books import count_sentences, fill_template, read_books, sentences
from amd_service.lab.synthesis.utterances import Kind, plan_utterances
from amd_service.lab.synthesis.voices import ACCENTS, Split

LANGUAGES = sorted(read_books())


def _plain(sentence: str) -> str:
    return " ".join(re.findall(r"\w+", sentence.casefold()))


def test_there_is_a_phrase_book_for_each_language_of_a_voice() -> None:
    assert set(LANGUAGES) == set(ACCENTS)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_has_templates_in_every_split(language: str) -> None:
    templates = read_books()[language].templates
    assert {key for key, lines in templates.items() if lines} == {
        (kind.value, split) for kind in Kind for split in Split
    }
    assert all(line.strip() == line != "" for lines in templates.values() for line in lines)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_template_of_the_test_or_validation_gives_a_sentence_of_the_training(language: str) -> None:
    splits = defaultdict(set)
    for (_, split), lines in read_books()[language].templates.items():
        for sentence in (sentence for line in lines for sentence in sentences(line)):
            splits[_plain(sentence)].add(split)
    assert [sentence for sentence, found in splits.items() if len(found) > 1] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_template_can_be_filled_and_said_by_festival(language: str) -> None:
    book, rng = read_books()[language], random.Random(1)
    for lines in book.templates.values():
        for text in (fill_template(line, book.slots, rng) for line in lines):
            assert not re.search(r'[{}()|"\\]', text)


def test_the_books_give_thousands_of_sentences_before_their_slots_are_filled() -> None:
    lines = [line for book in read_books().values() for lines in book.templates.values() for line in lines]
    assert [count_sentences(line) for line in lines] == [len([*sentences(line)]) for line in lines]
    assert sum(map(count_sentences, lines)) > 4000


def test_planned_utterances_say_templates_of_their_voice_s_split() -> None:
    said = defaultdict(set)
    for utterance in plan_utterances(7, scale=0.1):
        if utterance.kind in (Kind.BUSINESS, Kind.GREETING):
            said[utterance.voice.split].add(utterance.text)
    assert len(said[Split.TEST]) > 100
    assert not said[Split.TEST] & said[Split.TRAIN]
