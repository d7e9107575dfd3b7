"""Curves over all thresholds: ROC, calibration, and risk against coverage."""

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import roc_auc_score, roc_curve

from amd_service.lab.evaluation.rates import Clusters, Floats, Interval, Rate, rate, resampled
from amd_service.lab.evaluation.sample import Code, Codes, Sample, top

BINS = 10


@dataclass(frozen=True, slots=True)
class Roc:
    """How well scores rank voicemails above humans.

    `auc`: probability that a random voicemail has a higher score than a random human. None if a label has no clip.
    `false_alarms`, `found`: points of the curve, as shares of the humans and of the voicemails.
    """

    auc: float | None
    interval: Interval | None
    clips: int
    false_alarms: list[float]
    found: list[float]


@dataclass(frozen=True, slots=True)
class Bin:
    """Clips with similar confidence. `accuracy`: share whose more probable label is true."""

    low: float
    high: float
    confidence: float
    accuracy: Rate


@dataclass(frozen=True, slots=True)
class Calibration:
    """Whether a confidence of 0.9 is right nine times in ten.

    `expected_error`: expected calibration error (ECE): mean distance between confidence and accuracy over the bins,
    weighted by clips. None without scored clips.
    """

    expected_error: float | None
    bins: list[Bin]


@dataclass(frozen=True, slots=True)
class RiskCoverage:
    """Share of wrong labels (`risk`) if only the `coverage` most confident share of all clips gets a label."""

    coverage: list[float]
    risk: list[float]


def roc(truth: Codes, scores: Floats, clusters: Clusters | None = None) -> Roc:
    """Compute the ROC curve of the clips that have scores. `scores`: shape (clips, 2)."""
    known = np.isfinite(scores[:, 0])
    is_voicemail, score = truth[known] == Code.VOICEMAIL, scores[known, Code.VOICEMAIL]
    if len(np.unique(is_voicemail)) < 2:
        return Roc(None, None, len(score), [], [])

    values, rank = np.unique(score, return_inverse=True)

    def drawn_auc(weights: Floats) -> float:
        humans, voicemails = (
            np.bincount(rank, weights * kind, minlength=len(values)) for kind in (~is_voicemail, is_voicemail)
        )
        pairs = humans.sum() * voicemails.sum()
        humans_below = np.cumsum(humans) - humans / 2  # a tie counts half
        return float((voicemails * humans_below).sum() / pairs) if pairs else float("nan")

    false_alarms, found, _ = roc_curve(is_voicemail, score)
    numbers = np.arange(len(score)) if clusters is None else clusters[known]
    auc = float(roc_auc_score(is_voicemail, score))
    # Hundreds of draws with scikit-learn's function take seconds.
    return Roc(auc, resampled(drawn_auc, numbers), len(score), false_alarms.tolist(), found.tolist())


def calibrate(sample: Sample) -> Calibration:
    """Compare confidence and accuracy of the scored clips in ten equal bins from 0.5 to 1."""
    scored = sample.only(sample.scored)
    if not len(scored):
        return Calibration(None, [])
    confidence, is_true = scored.final.max(axis=1), top(scored.final) == scored.truth
    index = np.clip(((confidence - 0.5) * 2 * BINS).astype(int), 0, BINS - 1)
    gaps = np.abs(np.bincount(index, confidence - is_true))
    bins = [
        Bin(
            0.5 + number / (2 * BINS),
            0.5 + (number + 1) / (2 * BINS),
            float(confidence[index == number].mean()),
            rate(is_true, index == number, scored.clusters),
        )
        for number in np.unique(index).tolist()
    ]
    return Calibration(float(gaps.sum() / len(scored)), bins)


def risk_coverage(sample: Sample) -> RiskCoverage:
    """Order the scored clips by confidence. Clips without scores are never covered. Equal confidences are one point."""
    scored = sample.only(sample.scored)
    confidence = scored.final.max(axis=1, initial=0)
    order = np.argsort(-confidence, kind="stable")
    wrong = np.cumsum((top(scored.final) != scored.truth)[order], dtype=float)
    covered = np.arange(1, len(order) + 1)
    is_last = np.append(np.diff(confidence[order]) != 0, True)[: len(order)]
    return RiskCoverage((covered / max(len(sample), 1))[is_last].tolist(), (wrong / covered)[is_last].tolist())
