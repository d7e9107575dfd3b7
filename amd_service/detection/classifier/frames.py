"""Computes how many frames Wav2Vec2's convolutional front makes from a clip, outside the exported graph.

Inside the graph the numbers are rounded: with OpenVINO's bf16 hint the number of frames is wrong, and the graph fails.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

# Defaults of transformers' Wav2Vec2Config. A config.json omits values that equal the default.
_KERNELS = (10, 3, 3, 3, 3, 2, 2)
_STRIDES = (5, 2, 2, 2, 2, 2, 2)


@dataclass(frozen=True, slots=True)
class ConvolutionalFront:
    """Kernel size and stride of each convolution, from first to last."""

    kernels: tuple[int, ...]
    strides: tuple[int, ...]

    @classmethod
    def of_model(cls, folder: Path) -> Self:
        """Read the convolutional front from a model folder's config.json."""
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return cls(tuple(config.get("conv_kernel", _KERNELS)), tuple(config.get("conv_stride", _STRIDES)))

    def frames(self, samples: int) -> int:
        """Return the number of frames that the front makes from a clip of `samples` samples."""
        for kernel, stride in zip(self.kernels, self.strides, strict=True):
            samples = (samples - kernel) // stride + 1
        return samples

    def mask(self, samples: Sequence[int]) -> NDArray[np.float32]:
        """Return the frame mask, shape (clips, frames).

        The mask is 1.0 for frames of the clip and 0.0 for padding to the longest clip.
        """
        counts = np.array([self.frames(count) for count in samples])
        return (np.arange(counts.max())[None, :] < counts[:, None]).astype(np.float32)
