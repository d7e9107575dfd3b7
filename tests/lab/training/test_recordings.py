from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from amd_service.detection.audio.input import AudioInput
from amd_service.detection.decision import Policy
from amd_service.detection.label_check import SHIPPED_CLIPS
from amd_service.detection.prepared_audio import cut_window, prepare_audio
from amd_service.domain import Anchor
from amd_service.lab.augmentation.chain import TELEPHONE
from amd_service.lab.dataset.audio_folder import read_folder
from amd_service.lab.dataset.labelled_files import LabelledFile
from amd_service.lab.training.recordings import HeldOutWindows, TrainingWindows, find_speech, read_window
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


def test_training_windows_differ_by_draw_and_repeat_with_the_seed() -> None:
    windows = TrainingWindows(RECORDINGS, POLICY, TELEPHONE)

    def draw(seed: int) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
        torch.manual_seed(seed)
        return [each.samples for _ in range(2) for each in windows.__getitems__([0, 11])]

    first, again = draw(1), draw(1)
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    assert not np.array_equal(first[0], first[2][: len(first[0])])
    assert [windows[index].target for index in (0, 11)] == [0.0, 1.0]


def test_without_effects_the_audio_stays_and_the_start_moves_a_little() -> None:
    from_the_answer = replace(POLICY, anchor=Anchor.ANSWER)
    torch.manual_seed(1)
    window = TrainingWindows(RECORDINGS, from_the_answer, None)[0]
    assert np.array_equal(window.samples, read_window(RECORDINGS[0], from_the_answer, len(window.samples) // 16))
    from_the_onset = TrainingWindows(RECORDINGS[:1], replace(POLICY, anchor=Anchor.ONSET, long_window_ms=1000), None)
    starts = {from_the_onset[0].samples[:100].tobytes() for _ in range(6)}
    assert len(starts) > 1
