"""Samples of judged clips, without audio and without a model."""

from collections.abc import Sequence

import numpy as np

from amd_service.domain import LongWindowRule
from amd_service.lab.evaluation.sample import Code, Sample
from amd_service.lab.evaluation.thresholds import Thresholds, labels_at

NOW = Thresholds(0.7, 0.7)


def sample_of(
    clips: Sequence[tuple[str, float | None]],
    *,
    long: Sequence[float | None] | None = None,
    clusters: Sequence[int] | None = None,
    thresholds: Thresholds = NOW,
    long_window: LongWindowRule = LongWindowRule.UNSURE,
) -> Sample:
    """Build a sample from the true label and the first window's probability of voicemail of each clip.

    `long`: probability in the longer window, by default as in the first one. None: the model did not run.
    """
    truth = np.array([Code[label.upper()] for label, _ in clips], np.int8)
    first = _scores([score for _, score in clips])
    longer = first if long is None else _scores(long)
    groups = None if clusters is None else np.array(clusters)
    nothing = np.full(len(clips), Code.UNDECIDED, np.int8)
    undecided = Sample(truth, nothing, first, longer, longer, groups, long_window)
    is_sure = labels_at(Sample(truth, truth, first, first, first), thresholds) != Code.UNDECIDED
    decides = is_sure[:, None] & (long_window is LongWindowRule.UNSURE)
    final = np.where(decides, first, longer)
    return Sample(truth, labels_at(undecided, thresholds), first, longer, final, groups, long_window)


def _scores(values: Sequence[float | None]) -> np.ndarray:
    voicemail = np.array([np.nan if value is None else value for value in values], float)
    return np.stack([1 - voicemail, voicemail], axis=1)
