"""The cost of errors at every pair of thresholds, and the thresholds to recommend."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from amd_service.domain import LongWindowRule
from amd_service.lab.evaluation.rates import Floats, Mean, mean
from amd_service.lab.evaluation.sample import Code, Codes, Sample

FOLDS = 5
# AMD_MIN_CONFIDENCE must be above 0.5 and below 1.
GRID = np.round(np.arange(0.51, 1.0, 0.01), 2)
# With fewer independent clips, rare expensive errors are often absent, and chance looks like a gain. In simulations in
# which no gain was possible, the interval claimed a gain in 13 of 100 datasets of 60 clips, in 5 of 100 datasets of 100
# clips, and in 3 of 100 datasets of 200 clips.
MIN_INDEPENDENT = 200


@dataclass(frozen=True, slots=True)
class Costs:
    """Cost of each kind of result, in any unit. A right label costs nothing.

    `lost_human`: a human called voicemail. `missed_voicemail`: a voicemail called human. `undecided`: no label.
    """

    lost_human: float = 5.0
    missed_voicemail: float = 1.0
    undecided: float = 0.25


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Minimum confidence of each label."""

    human: float
    voicemail: float


@dataclass(frozen=True, slots=True)
class CostCurve:
    """Mean cost per clip at each threshold of `thresholds`.

    - `both`: the same threshold for both labels;
    - `human`, `voicemail`: this label's threshold varies, the other one is the cheapest.
    """

    thresholds: list[float]
    both: list[float]
    human: list[float]
    voicemail: list[float]


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The thresholds with the lowest cost on these clips.

    - `cost_now`: mean cost per clip at the thresholds `now`;
    - `cost_best`: mean cost at the thresholds `best`, on the clips that they were chosen with, so it is too low;
    - `cost_held_out`: mean cost of clips at thresholds that were chosen without their fold. None with fewer than two
      clusters;
    - `change`: `cost_held_out` minus `cost_now`, with its interval;
    - `independent`: number of clusters, or of clips if they are independent.
    """

    now: Thresholds
    best: Thresholds
    cost_now: Mean
    cost_best: float
    cost_held_out: float | None
    change: Mean | None
    independent: int
    curve: CostCurve

    @property
    def is_better(self) -> bool:
        """Whether the whole interval of `change` is below 0, on enough independent clips."""
        if self.change is None or self.change.high is None:
            return False
        return self.change.high < 0 and self.independent >= MIN_INDEPENDENT


def labels_at(sample: Sample, thresholds: Thresholds) -> Codes:
    """Decide again with other thresholds, as the detector does by its rule about the longer window.

    The scores do not explain every verdict: other evidence may have decided, or made the detector abstain. Use
    `explained` to find those clips.
    """
    first, long = _decide(sample.first, thresholds), _decide(sample.long, thresholds)
    if sample.long_window is LongWindowRule.ALWAYS:
        is_contradicted = (first != Code.UNDECIDED) & (first != long)
        return np.where(is_contradicted, Code.UNDECIDED, long).astype(np.int8)
    return np.where(first == Code.UNDECIDED, long, first).astype(np.int8)


def _decide(scores: Floats, thresholds: Thresholds) -> Codes:
    is_human = scores[:, Code.HUMAN] > scores[:, Code.VOICEMAIL]
    human = is_human & (scores[:, Code.HUMAN] >= thresholds.human)
    voicemail = ~is_human & (scores[:, Code.VOICEMAIL] >= thresholds.voicemail)
    return np.select([human, voicemail], [Code.HUMAN, Code.VOICEMAIL], Code.UNDECIDED).astype(np.int8)


def cost_per_clip(truth: Codes, called: Codes, costs: Costs) -> Floats:
    """Return the cost of each clip."""
    table = np.array([[0, costs.lost_human, costs.undecided], [costs.missed_voicemail, 0, costs.undecided]])
    return table[truth, called]


def recommend(sample: Sample, now: Thresholds, costs: Costs) -> Recommendation:
    """Find the cheapest thresholds, and measure their gain by cross-validation in folds that share no cluster.

    A verdict that the scores do not explain keeps its label at all thresholds. The sample must not be empty.
    """
    fixed = labels_at(sample, now) != sample.called
    cost_now = cost_per_clip(sample.truth, sample.called, costs)
    folds = _folds(sample)
    sums = [_cost_sums(sample.only((folds == fold) & ~fixed), costs) for fold in range(folds.max() + 1)]
    total = np.sum(sums, axis=0)
    best = _cheapest(total, now)
    held_out = cost_now.copy()
    for fold, own in enumerate(sums):
        called = labels_at(sample, _cheapest(total - own, now))
        chosen = (folds == fold) & ~fixed
        held_out[chosen] = cost_per_clip(sample.truth, called, costs)[chosen]
    can_hold_out = len(sums) > 1
    per_clip = (total + cost_now[fixed].sum()) / len(sample)
    human, voicemail = np.unravel_index(int(per_clip.argmin()), per_clip.shape)
    diagonal, column, row = np.diagonal(per_clip), per_clip[:, voicemail], per_clip[human]
    return Recommendation(
        now,
        best,
        mean(cost_now, sample.clusters),
        float(per_clip.min()),
        float(held_out.mean()) if can_hold_out else None,
        mean(held_out - cost_now, sample.clusters) if can_hold_out else None,
        len(sample) if sample.clusters is None else len(np.unique(sample.clusters)),
        CostCurve(GRID.tolist(), diagonal.tolist(), column.tolist(), row.tolist()),
    )


def _folds(sample: Sample) -> NDArray[np.int64]:
    """Return the fold of each clip. All clips of a cluster are in one fold."""
    clusters = np.arange(len(sample)) if sample.clusters is None else sample.clusters
    folds = np.zeros(len(sample), np.int64)
    number = min(FOLDS, len(np.unique(clusters)))
    if number >= 2:
        splitter = GroupKFold(number, shuffle=True, random_state=0)
        for fold, (_, held_out) in enumerate(splitter.split(folds, groups=clusters)):
            folds[held_out] = fold
    return folds


def _cost_sums(sample: Sample, costs: Costs) -> Floats:
    """Return the sum of the costs by threshold of human (rows) and of voicemail (columns).

    A clip is called human if its first window says so, or if the first window is unsure and the longer one says so. If
    the longer window always counts, it must say so, and the first window must not be sure of the opposite. The sums
    over clips are matrix products, which is a thousand times faster than deciding again for each pair.
    """
    price = np.array([cost_per_clip(sample.truth, np.full(len(sample), code, np.int8), costs) for code in Code])
    human, voicemail = price[Code.HUMAN] - price[Code.UNDECIDED], price[Code.VOICEMAIL] - price[Code.UNDECIDED]
    first_human, first_voicemail = _decided(sample.first)
    long_human, long_voicemail = _decided(sample.long)
    unsure_human, unsure_voicemail = 1 - first_human, 1 - first_voicemail
    if sample.long_window is LongWindowRule.ALWAYS:
        called_human = (long_human * human) @ unsure_voicemail.T
        called_voicemail = unsure_human @ (long_voicemail * voicemail).T
    else:
        called_human = (first_human @ human)[:, None] + (unsure_human * long_human * human) @ unsure_voicemail.T
        called_voicemail = (
            first_voicemail @ voicemail + unsure_human @ (unsure_voicemail * long_voicemail * voicemail).T
        )
    return np.asarray(price[Code.UNDECIDED].sum() + called_human + called_voicemail)


def _decided(scores: Floats) -> tuple[Floats, Floats]:
    """Return 1 where a window is decided for human, and for voicemail, by threshold (rows) and clip (columns)."""
    labels = np.array([_decide(scores, Thresholds(threshold, threshold)) for threshold in GRID])
    return (labels == Code.HUMAN).astype(float), (labels == Code.VOICEMAIL).astype(float)


def _cheapest(sums: Floats, now: Thresholds) -> Thresholds:
    """Return the cheapest thresholds. Among equals, return those that are closest to the present ones."""
    human, voicemail = np.nonzero(np.isclose(sums, sums.min(), rtol=0, atol=1e-9))
    distance = np.abs(GRID[human] - now.human) + np.abs(GRID[voicemail] - now.voicemail)
    nearest = int(np.argmin(distance))
    return Thresholds(float(GRID[human[nearest]]), float(GRID[voicemail[nearest]]))
