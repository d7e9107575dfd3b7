from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from amd_service.detection.decision import Policy
from amd_service.detection.label_check import SHIPPED_CLIPS
from amd_service.domain import Anchor
from amd_service.lab.augmentation.chain import NO_EFFECTS, TELEPHONE
from amd_service.lab.augmentation.librosa_shift import shift_recording
from amd_service.lab.augmentation.spectrum import Samples
from amd_service.lab.augmentation.voice import VoiceShift
from amd_service.lab.dataset.audio_folder import read_folder
from amd_service.lab.dataset.labelled_files import LabelledFile
from amd_service.lab.training import training_windows
from amd_service.lab.training.other_voices import OtherVoices
from amd_service.lab.training.recordings import Recording, find_speech, read_window
from amd_service.lab.training.training_windows import TrainingWindows

POLICY = Policy(0.7, 0.7, 1000, 2000, Anchor.AUTO)
RECORDINGS = find_speech(read_folder(SHIPPED_CLIPS).files)


def test_training_windows_differ_by_draw_and_repeat_with_the_seed() -> None:
    windows = TrainingWindows(RECORDINGS, POLICY, replace(TELEPHONE, voice_shift=0.0))

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


def constant(path: Path, level: float, group: str, rate_hz: int = 8000) -> Recording:
    """A recording whose every sample is `level`, so that its voice can be recognised."""
    soundfile.write(path, np.full(2 * rate_hz, level, np.float32), rate_hz, subtype="PCM_16")
    return Recording(LabelledFile(path, "human", group=group), onset_ms=500, sha256="")


def test_the_voices_behind_a_recording_are_those_of_other_groups(tmp_path: Path) -> None:
    own, same_group, third, fourth = (
        constant(tmp_path / f"{level}.wav", level, group, rate_hz)
        for level, group, rate_hz in ((0.1, "a", 8000), (0.2, "a", 8000), (0.3, "b", 8000), (0.4, "c", 16_000))
    )
    voices = OtherVoices([own, same_group, third, fourth])
    draw = voices.behind(own, 8000, np.random.default_rng(1))
    assert draw is not None
    heard = [draw() for _ in range(20)]
    assert {round(float(np.median(each)), 2) for each in heard} == {0.3, 0.4}
    assert {len(each) for each in heard} == {12_000}  # 1.5 s from the onset, at the rate of the recording
    assert OtherVoices([own, same_group]).behind(own, 8000, np.random.default_rng(1)) is None


@pytest.mark.slow
def test_librosa_changes_the_voice(monkeypatch: pytest.MonkeyPatch) -> None:
    shifts: list[VoiceShift] = []

    def watched(samples: Samples, rate_hz: int, shift: VoiceShift) -> Samples:
        shifts.append(shift)
        return shift_recording(samples, rate_hz, shift)

    monkeypatch.setattr(training_windows, "shift_recording", watched)
    windows = TrainingWindows(RECORDINGS[:2], POLICY, replace(NO_EFFECTS, voice_shift=1.0))
    assert len(windows.__getitems__([0, 1])) == len(shifts) == 2
