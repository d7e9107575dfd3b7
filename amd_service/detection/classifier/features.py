"""Samples → model input, the way Wav2Vec2's feature extractor does it."""

import numpy as np
from numpy.typing import NDArray


def normalise(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """One clip at zero mean and unit variance, each clip alone, before any padding.

    The 1e-7 is the feature extractor's own (transformers, `zero_mean_unit_var_norm`); digital silence divides by
    its root, never by 0.
    """
    return np.asarray((samples - samples.mean()) / np.sqrt(samples.var() + 1e-7), dtype=np.float32)
