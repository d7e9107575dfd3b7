"""Fits the temperature to held-out recordings, with the finished model as the service loads it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from amd_service.detection.classifier.engines.torch import TorchEngine
from amd_service.detection.decision import Policy
from amd_service.domain import Label
from amd_service.lab.training.recordings import Recording, read_window, window_lengths

Logits = NDArray[np.float64]

# Temperatures that are tried. A network that is right with all held-out recordings would get the smallest.
_TEMPERATURES = np.geomspace(0.25, 8.0, 251)


def score_windows(
    engine: TorchEngine, labels: tuple[Label, Label], recordings: Sequence[Recording], policy: Policy
) -> Logits:
    """Return the logits of every window, shape (recordings, lengths, 2), in the order human, voicemail."""
    columns = [labels.index(Label.HUMAN), labels.index(Label.VOICEMAIL)]
    lengths = window_lengths(policy)
    rows = [[engine.logits([read_window(each, policy, ms)])[0, columns] for ms in lengths] for each in recordings]
    return np.array(rows, dtype=np.float64).reshape(len(recordings), len(lengths), 2)


def fit_temperature(logits: Logits, targets: Sequence[float]) -> float:
    """Return the temperature with the lowest log loss, for `calibration.json`. `targets`: 1 for voicemail, else 0.

    The targets are slightly below 1, as in Platt's scaling, so that a few recordings, all of them right, do not make
    the model certain. https://arxiv.org/abs/1706.04599 (temperature), Platt (1999), section 2.2 (targets)
    """
    voicemail = np.array(targets)
    count = np.where(voicemail == 1, voicemail.sum(), (1 - voicemail).sum())
    of_truth = ((count + 1) / (count + 2))[:, None]
    signs = np.where(voicemail == 1, 1.0, -1.0)[:, None]
    margin = signs * (logits[:, :, 1] - logits[:, :, 0])
    losses = [
        float(np.mean(of_truth * np.logaddexp(0, -margin / each) + (1 - of_truth) * np.logaddexp(0, margin / each)))
        for each in _TEMPERATURES
    ]
    return round(float(_TEMPERATURES[int(np.argmin(losses))]), 3)
