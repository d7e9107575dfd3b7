from pathlib import Path

import numpy as np
import pytest

from amd_service.domain import Label, Waveform
from amd_service.lab.dataset.audio_store import StoredAudio
from amd_service.lab.dataset.candidates import Candidate
from amd_service.lab.dataset.collecting import Collected
from amd_service.lab.dataset.hidden_states import describe
from amd_service.lab.dataset.labelled_files import LabelledFile
from amd_service.lab.dataset.placing import Placed
from amd_service.lab.dataset.suspicious import cross_validate, find_suspicious, rank, write_suspicious
from amd_service.settings import Settings
from tests.support.labelled_audio import noise


def test_wrong_labels_are_found_among_noisy_groups() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 2, 600)
    groups = [f"voice-{number // 3}" for number in range(600)]
    voices = np.repeat(rng.normal(size=(200, 40)), 3, axis=0)
    vectors = (voices + 1.5 * truth[:, None] * np.ones(40) * 0.5 + rng.normal(size=(600, 40))).astype(np.float32)
    labels = truth.copy()
    wrong = rng.choice(600, 30, replace=False)
    labels[wrong] = 1 - labels[wrong]
    found = rank(labels, cross_validate(vectors, labels, groups))
    assert len(set(found) & set(wrong)) >= 24
    assert len(set(found[:20]) & set(wrong)) >= 18


def test_a_voice_is_never_judged_by_a_model_that_has_heard_it() -> None:
    # The vector is the voice alone, and the label is random for each voice. A model that has heard the voice knows the
    # label, another one guesses.
    rng = np.random.default_rng(2)
    voices, labels = rng.normal(size=(60, 20)), rng.integers(0, 2, 60)
    groups = [f"voice-{number}" for number in range(60) for _ in range(10)]
    probabilities = cross_validate(np.repeat(voices, 10, axis=0).astype(np.float32), np.repeat(labels, 10), groups)
    right = np.mean(probabilities.argmax(axis=1) == np.repeat(labels, 10))
    assert 0.25 < right < 0.75


@pytest.mark.slow
def test_the_vector_of_a_recording_comes_from_the_configured_model() -> None:
    waveforms = [Waveform(noise(seconds, seed=seed), 8000) for seconds, seed in ((1.2, 1), (6.0, 2), (6.0, 2))]
    done: list[None] = []
    first, second, third = describe(waveforms, Settings(_env_file=None, model="demo"), done=lambda: done.append(None))
    assert first.shape == second.shape
    assert np.array_equal(second, third)
    assert not np.allclose(first, second)
    assert len(done) == 3


def placed(number: int, label: Label) -> Placed:
    path = Path(f"train/{number}.wav")
    candidate = Candidate(str(number), label, "one voice", None, LabelledFile(path, label))
    stored = StoredAudio(path, is_mixed=False)
    return Placed(LabelledFile(path, label, "one voice"), Collected(candidate, stored, "", 2000, 100))


def test_too_few_voices_give_no_judgement() -> None:
    few = [placed(number, label) for number in range(10) for label in (Label.HUMAN, Label.VOICEMAIL)]
    assert find_suspicious(few, Settings(_env_file=None)) is None


def test_an_empty_list_has_a_header(tmp_path: Path) -> None:
    write_suspicious(tmp_path, [])
    header = (tmp_path / "suspicious.csv").read_text("utf-8")
    assert header == "file_name,call_sid,source_file,label,suggested,probability,reviewers\n"


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 0.05])
def test_few_labels_are_suspicious_if_few_are_wrong(share: float) -> None:
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 2, 400)
    vectors = (3 * truth[:, None] + rng.normal(size=(400, 10))).astype(np.float32)
    wrong = rng.random(400) < share
    labels = np.where(wrong, 1 - truth, truth)
    found = rank(labels, cross_validate(vectors, labels, [str(number) for number in range(400)]))
    assert abs(len(found) - wrong.sum()) <= 4
