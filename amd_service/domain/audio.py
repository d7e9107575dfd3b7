"""Audio samples and the window given to the model."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray


class Anchor(StrEnum):
    """Start of the window: at the answer, at speech onset, or chosen per recording (`auto`)."""

    AUTO = "auto"
    ANSWER = "answer"
    ONSET = "onset"


@dataclass(frozen=True, slots=True, eq=False)
class Waveform:
    """Mono audio. `samples`: float32, shape (n,), in [-1, 1]. `rate_hz`: samples per second."""

    samples: NDArray[np.float32]
    rate_hz: int

    @property
    def duration_ms(self) -> int:
        return len(self.samples) * 1000 // self.rate_hz


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """The part of the called party's audio that the model scores.

    `samples`: float32, shape (n,), at 16 kHz, in [-1, 1]. `start_ms`, `onset_ms`: milliseconds from the start of the
    recording to the window and to the speech onset. `onset_ms` is None if no speech was found.
    """

    samples: NDArray[np.float32]
    start_ms: int
    onset_ms: int | None

    @property
    def duration_ms(self) -> int:
        return len(self.samples) // 16
