"""Turns samples into model input, in the same way as Wav2Vec2's feature extractor."""

import numpy as np
from numpy.typing import NDArray


def normalise(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale one clip to zero mean and unit variance. Call this function before any padding.

    The constant 1e-7 comes from the feature extractor (transformers, `zero_mean_unit_var_norm`). The constant avoids a
    division by 0 for digital silence.
    """
    return np.asarray((samples - samples.mean()) / np.sqrt(samples.var() + 1e-7), dtype=np.float32)
