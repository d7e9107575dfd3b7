"""The cache of rendered speech."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from amd_service.lab.synthesis import corpus
from amd_service.lab.synthesis.corpus import load_corpus
from amd_service.lab.synthesis.render import Sound
from amd_service.lab.synthesis.utterances import Utterance
from amd_service.lab.synthesis.voices import Split


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The voices that are rendered, in order. Each utterance is as many samples as its text has letters."""
    names: list[str] = []

    def speak(utterances: Sequence[Utterance], *, jobs: int) -> Iterator[Sound]:
        names.append(utterances[0].voice.name)
        return (np.full(len(one.text), 0.5, np.float32) for one in utterances)

    monkeypatch.setattr(corpus, "render", speak)
    monkeypatch.setattr(corpus, "require_engines", lambda _: None)
    return names


def test_each_voice_is_rendered_once(rendered: list[str], tmp_path: Path) -> None:
    first = load_corpus(7, scale=0.001, splits=(Split.VALIDATION,), cache=tmp_path)
    voices = {utterance.voice.name for utterance in first.utterances}
    assert sorted(rendered) == sorted(voices)
    second = load_corpus(7, scale=0.001, splits=(Split.VALIDATION,), cache=tmp_path)
    assert len(rendered) == len(voices)
    assert np.array_equal(first.samples, second.samples)
    assert [len(second.sound(index)) for index in range(3)] == [len(one.text) for one in second.utterances[:3]]


def test_an_interrupted_rendering_continues_with_the_next_voice(rendered: list[str], tmp_path: Path) -> None:
    load_corpus(7, scale=0.001, splits=(Split.VALIDATION,), cache=tmp_path)
    lost = next(tmp_path.glob("awb-*.npz"))
    lost.unlink()
    rendered.clear()
    load_corpus(7, scale=0.001, splits=(Split.VALIDATION,), cache=tmp_path)
    assert rendered == ["awb"]
