"""Windows that a very small model can learn: a low tone for a human, a high tone for a voicemail, in noise."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

RATE_HZ = 16_000


@dataclass(frozen=True, slots=True)
class ToneWindow:
    samples: NDArray[np.float32]
    target: float


class ToneWindows(Dataset[ToneWindow]):
    """Every second window is a voicemail. The noise and the length of a batch come from PyTorch's generator."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> ToneWindow:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[ToneWindow]:
        rng = np.random.default_rng(int(torch.randint(2**31, (1,))))
        time = np.arange(int(rng.choice([RATE_HZ // 4, RATE_HZ // 2]))) / RATE_HZ
        return [
            ToneWindow(
                (np.sin(2 * np.pi * (300 + 900 * (index % 2)) * time) + rng.normal(0, 0.3, len(time))).astype("f4"),
                float(index % 2),
            )
            for index in indices
        ]
