"""Scores held-out recordings with the finished model, loaded as the service loads it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amd_service.detection.classifier.engines.torch import TorchEngine
from amd_service.detection.classifier.softmax import softmax
from amd_service.detection.decision import Policy, decide
from amd_service.domain import Label, Scores
from amd_service.lab.evaluation.rates import Rate, rate
from amd_service.lab.training.recordings import Recording, read_window, window_lengths

Logits = NDArray[np.float64]

# Temperatures that are tried. A network that is right with all held-out recordings would get the smallest.
_TEMPERATURES = np.geomspace(0.25, 8.0, 251)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Verdicts on the recordings with speech of one part of the dataset, from the scores alone, with 95 % intervals."""

    recordings: int
    groups: int
    wrong: Rate
    undecided: Rate
    human_called_voicemail: Rate
    voicemail_called_human: Rate


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


def judge(logits: Logits, recordings: Sequence[Recording], policy: Policy, *, temperature: float) -> Outcome:
    """Decide as the service does: by the first window, and by the long window if the first is below the threshold."""
    called = np.array([_decide(each / temperature, policy) for each in logits])
    truth = np.array([each.file.label for each in recordings])
    _, clusters = np.unique([each.file.group_or_path for each in recordings], return_inverse=True)
    everything = np.ones(len(recordings), np.bool_)
    undecided = called == str(Label.UNDECIDED)
    human, voicemail = truth == str(Label.HUMAN), truth == str(Label.VOICEMAIL)
    return Outcome(
        recordings=len(recordings),
        groups=len(np.unique(clusters)),
        wrong=rate(~undecided & (called != truth), everything, clusters),
        undecided=rate(undecided, everything, clusters),
        human_called_voicemail=rate(called == str(Label.VOICEMAIL), human, clusters),
        voicemail_called_human=rate(called == str(Label.HUMAN), voicemail, clusters),
    )


def _decide(windows: Logits, policy: Policy) -> str:
    label = Label.UNDECIDED
    for logits in windows:
        human, voicemail = softmax(logits)
        label = decide(Scores(float(human), float(voicemail)), policy).label
        if label is not Label.UNDECIDED:
            break
    return str(label)
