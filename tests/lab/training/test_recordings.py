from dataclasses import replace
from pathlib import Path

import numpy as np

from amd_service.detection.audio.input import AudioInput
from amd_service.detection.decision import Policy
from amd_service.detection.label_check import SHIPPED_CLIPS
from amd_service.detection.prepared_audio import cut_window, prepare_audio
from amd_service.domain import Anchor
from amd_service.lab.dataset.audio_folder import read_folder
from amd_service.lab.dataset.labelled_files import LabelledFile
from amd_service.lab.training.recordings import HeldOutWindows, find_speech, read_window
from tests.support.labelled_audio import write_wav

POLICY = Policy(0.7, 0.7, 1000, 2000, Anchor.AUTO)
RECORDINGS = find_speech(read_folder(SHIPPED_CLIPS).files)


def test_a_window_is_the_one_that_the_service_scores() -> None:
    assert len(RECORDINGS) == 12
    for recording in RECORDINGS:
        prepared = prepare_audio(AudioInput(data=recording.file.path.read_bytes(), one_sided=True), max_ms=17_000)
        expected = cut_window(prepared, Anchor.AUTO, 2000).samples
        assert np.array_equal(read_window(recording, POLICY, 2000), expected)


def test_recordings_without_speech_or_shorter_than_a_second_are_left_out(tmp_path: Path) -> None:
    quiet = write_wav(tmp_path / "quiet.wav", np.zeros(16_000, np.float32))
    short = write_wav(tmp_path / "short.wav", np.zeros(4_000, np.float32))
    heard: list[int] = []
    files = [LabelledFile(quiet, "human"), LabelledFile(short, "human")]
    assert find_speech(files, heard=lambda: heard.append(1)) == []
    assert len(heard) == 2


def test_held_out_windows_have_both_lengths_and_no_chance() -> None:
    held_out = HeldOutWindows(RECORDINGS, POLICY)
    assert len(held_out) == 24
    assert [len(held_out[index].samples) for index in (0, 12)] == [16_000, 32_000]
    assert np.array_equal(held_out[3].samples, held_out.__getitems__([3])[0].samples)
    assert len(HeldOutWindows(RECORDINGS, replace(POLICY, long_window_ms=1000))) == 12
