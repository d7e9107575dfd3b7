"""What every engine offers, and which there are."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from amd_service.classifier.cores import usable_cores
from amd_service.classifier.engines import torch
from amd_service.classifier.model import ModelFiles
from amd_service.errors import ModelUnusable
from amd_service.settings import Settings


class Engine(Protocol):
    """A loaded model. Called from the one thread that loaded it.

    `max_batch`: most clips a call takes; above 1 only where batching pays. Clips of one call have equal length, so
    no padding and no frame mask is needed; an engine whose graph takes a mask passes ones, computed outside the
    graph (n = (n - kernel) // stride + 1 for each convolution of the front).
    """

    @property
    def name(self) -> str: ...
    @property
    def precision(self) -> str: ...
    @property
    def max_batch(self) -> int: ...

    def logits(self, clips: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Raw outputs, shape (clips, 2), by the model's own label index. Clips: float32 (n,), 16 kHz, not normalised.

        May hold NaN when the weights are damaged: the caller checks.
        """
        ...


Loader = Callable[[ModelFiles, int], Engine]

# By AMD_ENGINE. A loader imports its heavy library, so it runs on the inference thread only.
LOADERS: Mapping[str, Loader] = {"torch": torch.load}
AUTO = "torch"


def load_engine(files: ModelFiles, settings: Settings) -> Engine:
    """The engine that the settings name, with the model loaded. Raises ModelUnusable with the cure."""
    name = AUTO if settings.engine == "auto" else settings.engine
    loader = LOADERS.get(name)
    if loader is None:
        raise ModelUnusable(f"AMD_ENGINE={name} is not one of auto, {', '.join(LOADERS)}: correct AMD_ENGINE")
    return loader(files, settings.threads or usable_cores())
