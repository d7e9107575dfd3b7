"""Windows of labelled recordings, cut by the service's own code."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from amd_service.detection.audio.activity import speech_onset_ms
from amd_service.detection.audio.channels import CalledParty
from amd_service.detection.decision import Policy
from amd_service.detection.prepared_audio import MIN_MS, SEARCH_MS, PreparedAudio, cut_window
from amd_service.domain import Label, Waveform
from amd_service.lab.augmentation.chain import Chances, augment
from amd_service.lab.dataset.labelled_files import LabelledFile

# Standard deviation of the error of the onset search, which depends on the noise of a call.
_ONSET_ERROR_MS = 40.0
# Augmentation may slow the speech down by a quarter, and room and noise may hide its beginning.
_SLOWEST, _SPARE_MS = 1.25, 700


@dataclass(frozen=True, slots=True)
class Recording:
    """A labelled recording in which the service finds speech. `onset_ms`: onset of the speech."""

    file: LabelledFile
    onset_ms: int

    @property
    def target(self) -> float:
        return float(self.file.label == Label.VOICEMAIL)


@dataclass(frozen=True, slots=True)
class RecordingWindow:
    """A window with the probability of voicemail to learn. `samples`: float32 at 16 kHz."""

    samples: NDArray[np.float32]
    target: float


def find_speech(files: Iterable[LabelledFile], *, heard: Callable[[], None] = lambda: None) -> list[Recording]:
    """Return the recordings that the service would score: those of at least a second with speech.

    Calls `heard` after each file, for a progress bar. Raises DatasetUnusable for a file that cannot be decoded.
    """
    recordings = []
    for file in files:
        waveform = file.waveform(max_ms=SEARCH_MS)
        onset_ms = speech_onset_ms(waveform, search_ms=SEARCH_MS) if waveform.duration_ms >= MIN_MS else None
        if onset_ms is not None:
            recordings.append(Recording(file, onset_ms))
        heard()
    return recordings


def read_window(recording: Recording, policy: Policy, length_ms: int) -> NDArray[np.float32]:
    """Return the window that the service scores, at 16 kHz."""
    waveform = recording.file.waveform(max_ms=SEARCH_MS + length_ms)
    return cut_window(_prepared(waveform, recording.onset_ms), policy.anchor, length_ms).samples


class TrainingWindows(Dataset[RecordingWindow]):
    """One window of each recording, another one in every epoch. A batch has one of the two lengths of the policy.

    `chances`: probabilities of the effects, or None to leave the audio as it is. The onset is searched again after the
    effects, and moved by a small random error.
    """

    def __init__(self, recordings: Sequence[Recording], policy: Policy, chances: Chances | None) -> None:
        self._recordings, self._policy, self._chances = recordings, policy, chances

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
            changed = Waveform(
                augment(waveform.samples, waveform.rate_hz, rng, chances=self._chances), waveform.rate_hz
            )
            found_ms = speech_onset_ms(changed, search_ms=SEARCH_MS)
            # Noise can hide all speech. The service would not score such a call.
            if found_ms is not None and changed.duration_ms >= MIN_MS:
                waveform, onset_ms = changed, found_ms
        onset_ms = max(0, onset_ms + round(rng.normal(0.0, _ONSET_ERROR_MS)))
        window = cut_window(_prepared(waveform, onset_ms), self._policy.anchor, length_ms)
        return RecordingWindow(window.samples, recording.target)


class HeldOutWindows(Dataset[RecordingWindow]):
    """Both windows of each recording, as the service cuts them: first all short windows, then all long windows."""

    def __init__(self, recordings: Sequence[Recording], policy: Policy) -> None:
        self._items = [(each, length_ms) for length_ms in window_lengths(policy) for each in recordings]
        self._policy = policy

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> RecordingWindow:
        recording, length_ms = self._items[index]
        return RecordingWindow(read_window(recording, self._policy, length_ms), recording.target)

    def __getitems__(self, indices: Sequence[int]) -> list[RecordingWindow]:
        return [self[index] for index in indices]


def window_lengths(policy: Policy) -> list[int]:
    """Return the lengths of the windows that the service scores, in milliseconds."""
    return [policy.window_ms, policy.long_window_ms] if policy.has_long_window else [policy.window_ms]


def _prepared(waveform: Waveform, onset_ms: int) -> PreparedAudio:
    return PreparedAudio(CalledParty(waveform, 1, mixed=False), onset_ms, evidence=None, audio_sha256="")
