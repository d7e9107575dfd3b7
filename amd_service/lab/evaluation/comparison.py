"""Paired differences between two models on the same clips."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from amd_service.lab.evaluation.rates import Mean, mean
from amd_service.lab.evaluation.sample import Code, Sample
from amd_service.lab.evaluation.thresholds import Costs, cost_per_clip


@dataclass(frozen=True, slots=True)
class Comparison:
    """The model against another model, on the clips that both judged. An undecided clip is not right.

    - `only_this`, `only_other`: clips on which only one of the models is right;
    - `p_value`: exact McNemar test of whether both models are right equally often. It assumes independent clips, so it
      is too small if clips of one group resemble each other. The intervals respect the clusters;
    - `right`, `humans_lost`, `cost`: mean difference per clip, this model minus the other. `right` is the difference of
      the share of right labels, `humans_lost` of the share of humans called voicemail (None without a human).
    """

    clips: int
    both: int
    only_this: int
    only_other: int
    neither: int
    p_value: float
    right: Mean
    humans_lost: Mean | None
    cost: Mean


def compare(this: Sample, other: Sample, costs: Costs) -> Comparison:
    """Compare two samples of the same clips in the same order. The samples must not be empty."""
    only_this = int(np.count_nonzero(this.is_right & ~other.is_right))
    only_other = int(np.count_nonzero(other.is_right & ~this.is_right))
    both = int(np.count_nonzero(this.is_right & other.is_right))
    humans = this.truth == Code.HUMAN
    lost = np.subtract(this.is_wrong[humans], other.is_wrong[humans], dtype=float)
    cost = cost_per_clip(this.truth, this.called, costs) - cost_per_clip(other.truth, other.called, costs)
    clusters = this.clusters
    return Comparison(
        clips=len(this),
        both=both,
        only_this=only_this,
        only_other=only_other,
        neither=len(this) - both - only_this - only_other,
        p_value=mcnemar(only_this, only_other),
        right=mean(np.subtract(this.is_right, other.is_right, dtype=float), clusters),
        humans_lost=mean(lost, None if clusters is None else clusters[humans]) if humans.any() else None,
        cost=mean(cost, clusters),
    )


def mcnemar(only_this: int, only_other: int) -> float:
    """Return the two-sided p value of the exact McNemar test."""
    differing = only_this + only_other
    return float(stats.binomtest(only_this, differing, 0.5).pvalue) if differing else 1.0
