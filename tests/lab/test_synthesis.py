import random
from collections import defaultdict

import numpy as np
import pytest

from amd_service.errors import ConfigurationError
from amd_service.lab.synthesis import tones
from amd_service.lab.synthesis.render import INSTALL_COMMAND, RATE_HZ, render
from amd_service.lab.synthesis.utterances import Kind, Utterance, plan_utterances
from amd_service.lab.synthesis.voices import ACCENTS, Engine, Split, voice_named, voices


def _utterance(engine: Engine, name: str, text: str, language: str = "en", accent: str = "en-us") -> Utterance:
    return Utterance(voice_named(engine, name), Kind.ANSWER, language, accent, text, 1.0, 1.0)


def test_the_plan_depends_only_on_its_seed() -> None:
    assert plan_utterances(3, scale=0.01) == plan_utterances(3, scale=0.01)
    assert plan_utterances(3, scale=0.01) != plan_utterances(4, scale=0.01)


@pytest.mark.parametrize("scale", [0.001, 1.0])
def test_every_voice_has_utterances_of_both_labels(scale: float) -> None:
    said = defaultdict(set)
    for utterance in plan_utterances(7, scale=scale):
        said[utterance.voice].add(utterance.kind)
    assert set(said) == set(voices())
    assert all(kinds == set(Kind) for kinds in said.values())


def test_no_speaker_is_in_two_splits() -> None:
    splits = defaultdict(set)
    for voice in voices():
        splits[voice.speaker].add(voice.split)
    assert all(len(found) == 1 for found in splits.values())


def test_each_engine_has_training_voices_and_a_test_voice() -> None:
    present = {(voice.engine, voice.split) for voice in voices()}
    assert all((engine, split) in present for engine in Engine for split in (Split.TRAIN, Split.TEST))


def test_slots_of_the_phrase_books_are_filled() -> None:
    assert not any("{" in utterance.text for utterance in plan_utterances(7, scale=0.2))


@pytest.mark.speech_engines
def test_each_engine_renders_utterances_in_order_and_trims_silence() -> None:
    utterances = [
        _utterance(Engine.ESPEAK, "m1", "Hello?"),
        _utterance(Engine.ESPEAK, "f2", "Guten Tag, hier ist die Mailbox.", "de", "de"),
        _utterance(Engine.FLITE, "kal", "The person you are calling is not available."),
        _utterance(Engine.FESTIVAL, "ked_diphone", "You've reached Tom, leave a message."),
        _utterance(Engine.FESTIVAL, "ked_diphone", "Hello?"),
    ]
    sounds = list(render(utterances))
    seconds = [len(sound) / RATE_HZ for sound in sounds]
    assert seconds[0] < 1 < seconds[1]
    assert seconds[4] < 1 < seconds[3]
    assert all(np.abs(sound[: RATE_HZ // 20]).max() > 0.01 * np.abs(sound).max() for sound in sounds)


@pytest.mark.speech_engines
@pytest.mark.parametrize(("language", "accent"), sorted({(code, a) for code, names in ACCENTS.items() for a in names}))
def test_variants_sound_different_in_every_accent(language: str, accent: str) -> None:
    names = ("m7", "f5", "m1")
    sounds = [*render([_utterance(Engine.ESPEAK, name, "One two", language, accent) for name in names])]
    assert len({sound.tobytes() for sound in sounds}) == len(names)


@pytest.mark.speech_engines
def test_rendering_twice_gives_the_same_samples() -> None:
    utterances = [_utterance(Engine.ESPEAK, "m7", "Hello?"), _utterance(Engine.FLITE, "rms", "Hello?")]
    for first, second in zip(render(utterances), render(utterances), strict=True):
        assert np.array_equal(first, second)


def test_a_missing_engine_is_reported_with_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(ConfigurationError, match="flite is not installed") as caught:
        list(render([_utterance(Engine.FLITE, "rms", "Hello?")]))
    assert INSTALL_COMMAND in str(caught.value)


@pytest.mark.parametrize(("seed", "seconds"), [(998, 5.5), (6896, 8.5), (1, 0.3)])
def test_music_lasts_as_long_as_asked_for(seed: int, seconds: float) -> None:
    """With the first two seeds, rounded notes together last a little less than the music."""
    assert len(tones.music(seconds, random.Random(seed))) == round(seconds * RATE_HZ)
