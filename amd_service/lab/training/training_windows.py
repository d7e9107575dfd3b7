"""Training windows: another one of each recording in every epoch, with the effects of voices, rooms and telephones."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from amd_service.detection.audio.activity import speech_onset_ms
from amd_service.detection.decision import Policy
from amd_service.detection.prepared_audio import MIN_MS, SEARCH_MS
from amd_service.domain import Waveform
from amd_service.lab.augmentation.chain import Chances, augment
from amd_service.lab.augmentation.librosa_shift import shift_recording
from amd_service.lab.training.other_voices import OtherVoices
from amd_service.lab.training.recordings import Recording, RecordingWindow, cut_from, window_lengths

# Standard deviation of the error of the onset search, which depends on the noise of a call.
_ONSET_ERROR_MS = 40.0
# Augmentation may slow the speech down by a quarter, and room and noise may hide its beginning.
_SLOWEST, _SPARE_MS = 1.25, 700


class TrainingWindows(Dataset[RecordingWindow]):
    """One window of each recording, another one in every epoch. A batch has one of the two lengths of the policy.

    `chances`: probabilities of the effects, or None to leave the audio as it is. The onset is searched again after the
    effects, and moved by a small random error. librosa changes pitch and pace. The recordings of other groups are
    the voices in the background.
    """

    def __init__(self, recordings: Sequence[Recording], policy: Policy, chances: Chances | None) -> None:
        self._recordings, self._policy, self._chances = recordings, policy, chances
        self._others = OtherVoices(recordings)

    def __len__(self) -> int:
        return len(self._recordings)

    def __getitem__(self, index: int) -> RecordingWindow:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[RecordingWindow]:
        rng = np.random.default_rng(int(torch.randint(2**62, (1,))))
        length_ms = int(rng.choice(window_lengths(self._policy)))
        return [self._draw(self._recordings[index], length_ms, rng) for index in indices]

    def _draw(self, recording: Recording, length_ms: int, rng: np.random.Generator) -> RecordingWindow:
        needed_ms = recording.onset_ms + _SPARE_MS + length_ms
        waveform, onset_ms = recording.file.waveform(max_ms=round(needed_ms * _SLOWEST)), recording.onset_ms
        if self._chances is not None:
            changed = self._change(recording, waveform, self._chances, rng)
            found_ms = speech_onset_ms(changed, search_ms=SEARCH_MS)
            # Noise can hide all speech. The service would not score such a call.
            if found_ms is not None and changed.duration_ms >= MIN_MS:
                waveform, onset_ms = changed, found_ms
        onset_ms = max(0, onset_ms + round(rng.normal(0.0, _ONSET_ERROR_MS)))
        return RecordingWindow(cut_from(waveform, onset_ms, self._policy, length_ms), recording.target)

    def _change(self, recording: Recording, waveform: Waveform, chances: Chances, rng: np.random.Generator) -> Waveform:
        babble = self._others.behind(recording, waveform.rate_hz, rng)
        changed = augment(
            waveform.samples, waveform.rate_hz, rng, chances=chances, babble=babble, shift=shift_recording
        )
        return Waveform(changed, waveform.rate_hz)
