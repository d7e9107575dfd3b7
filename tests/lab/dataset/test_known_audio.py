import json
from pathlib import Path

import numpy as np
import pytest

from amd_service.errors import ModelUnusable
from amd_service.lab.dataset.known_audio import FILE, count_known, opening_digest, write_known_audio
from amd_service.lab.dataset.labelled_files import LabelledFile
from tests.support.labelled_audio import noise, write_wav


def test_copies_of_known_recordings_are_found_whatever_their_length(tmp_path: Path) -> None:
    sound = noise(20, seed=1)
    whole = LabelledFile(write_wav(tmp_path / "whole.wav", sound), "human")
    cut = LabelledFile(write_wav(tmp_path / "cut.wav", sound[: 16 * 8000]), "human")
    called_party = LabelledFile(write_wav(tmp_path / "both.wav", np.zeros_like(sound), sound), "human", channel=2)
    unknown = LabelledFile(write_wav(tmp_path / "unknown.wav", noise(20, seed=2)), "human")
    broken = LabelledFile(tmp_path / "broken.wav", "human")
    broken.path.write_bytes(b"RIFF")
    write_known_audio(tmp_path, [opening_digest(whole.waveform(max_ms=20_000))])
    assert count_known([cut, called_party, unknown, broken], tmp_path) == 2


def test_a_model_without_a_list_knows_nothing(tmp_path: Path) -> None:
    assert count_known([LabelledFile(write_wav(tmp_path / "a.wav"), "human")], tmp_path) == 0


@pytest.mark.parametrize("content", ["", "[]", json.dumps({"sha256": None})])
def test_a_damaged_list_is_named_with_its_cure(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(ModelUnusable, match=r"training_audio\.json is damaged .* or delete it"):
        count_known([], tmp_path)
