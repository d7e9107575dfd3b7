"""Speech of other people from the training recordings, for a background of voices."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import soxr

from amd_service.lab.augmentation.spectrum import Samples
from amd_service.lab.augmentation.surroundings import Babble
from amd_service.lab.training.recordings import Recording

_SPEECH_MS = 5_000


class OtherVoices:
    """Draws speech from recordings of other groups. Every group is equally probable, so no label stands out."""

    def __init__(self, recordings: Sequence[Recording]) -> None:
        by_group: defaultdict[str, list[Recording]] = defaultdict(list)
        for each in recordings:
            by_group[each.file.group_or_path].append(each)
        self._recordings = list(by_group.values())
        self._index = {group: index for index, group in enumerate(by_group)}

    def behind(self, recording: Recording, rate_hz: int, rng: np.random.Generator) -> Babble | None:
        """Return the source of background voices for a recording, or None if there is no other group."""
        own, others = self._index[recording.file.group_or_path], len(self._recordings) - 1
        if others == 0:
            return None

        def draw() -> Samples:
            # Skip the recording's own group.
            group = self._recordings[(own + 1 + int(rng.integers(others))) % (others + 1)]
            return _speech(group[int(rng.integers(len(group)))], rate_hz)

        return draw


def _speech(recording: Recording, rate_hz: int) -> Samples:
    """Return up to 5 s of a recording from its onset of speech."""
    waveform = recording.file.waveform(max_ms=recording.onset_ms + _SPEECH_MS)
    spoken = waveform.samples[recording.onset_ms * waveform.rate_hz // 1000 :]
    if waveform.rate_hz == rate_hz:
        return spoken
    return np.asarray(soxr.resample(spoken, waveform.rate_hz, rate_hz), np.float32)
