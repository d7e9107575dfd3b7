"""The time before speech: silence, or the end of a ringback tone and a pause."""

import numpy as np
import soxr

from amd_service.lab.augmentation.spectrum import Samples
from amd_service.lab.synthesis import tones
from amd_service.lab.synthesis.render import RATE_HZ


def draw_lead(rate_hz: int, rng: np.random.Generator) -> Samples:
    """Return a short, medium or long silence, or the tail of a ringback tone and a pause. At most 3.3 s long."""
    draw = rng.random()
    if draw < 0.35:
        lead = tones.silence(rng.uniform(0.0, 0.3))
    elif draw < 0.65:
        lead = tones.silence(rng.uniform(0.3, 1.0))
    elif draw < 0.85:
        lead = tones.silence(rng.uniform(1.0, 3.0))
    else:
        ring = tones.ringback(rng.uniform(0.2, 2.5), int(rng.integers(len(tones.RINGBACKS))), rng.uniform(0.05, 0.3))
        lead = np.concatenate([ring, tones.silence(rng.uniform(0.05, 0.8))])
    if rate_hz == RATE_HZ or not len(lead):
        return lead
    return np.asarray(soxr.resample(lead, RATE_HZ, rate_hz), np.float32)
