"""Windows of labelled recordings, cut by the service's own code."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from amd_service.detection.audio.activity import speech_onset_ms
from amd_service.detection.audio.channels import CalledParty
from amd_service.detection.decision import Policy
from amd_service.detection.prepared_audio import MIN_MS, SEARCH_MS, PreparedAudio, cut_window
from amd_service.domain import Label, Waveform
from amd_service.lab.dataset.known_audio import opening_digest
from amd_service.lab.dataset.labelled_files import LabelledFile


@dataclass(frozen=True, slots=True)
class Recording:
    """A labelled recording in which the service finds speech.

    `onset_ms`: onset of the speech. `sha256`: `opening_digest` of its audio.
    """

    file: LabelledFile
    onset_ms: int
    sha256: str

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
            recordings.append(Recording(file, onset_ms, opening_digest(waveform)))
        heard()
    return recordings


def read_window(recording: Recording, policy: Policy, length_ms: int) -> NDArray[np.float32]:
    """Return the window that the service scores, at 16 kHz."""
    waveform = recording.file.waveform(max_ms=SEARCH_MS + length_ms)
    return cut_from(waveform, recording.onset_ms, policy, length_ms)


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


def cut_from(waveform: Waveform, onset_ms: int, policy: Policy, length_ms: int) -> NDArray[np.float32]:
    """Cut a window as the service does, at 16 kHz. `onset_ms`: onset of the speech."""
    prepared = PreparedAudio(CalledParty(waveform, 1, mixed=False), onset_ms, evidence=None, audio_sha256="")
    return cut_window(prepared, policy.anchor, length_ms).samples
