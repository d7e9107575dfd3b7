"""Shares and means with 95 % intervals.

Independent clips get Wilson's interval. Clips of one caller or voice resemble each other, so clustered clips get a
bootstrap that draws whole clusters.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES = 2000
# With fewer clusters the bootstrap is too narrow: its intervals hold the true value clearly less often than stated.
FEW_CLUSTERS = 20
_BATCH = 100  # resamples at once, which limits the memory

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Clusters = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Interval:
    """Both ends of a 95 % interval."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of `of` clips with its 95 % interval. All shares are None if `of` is 0."""

    share: float | None
    count: int
    of: int
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean with its 95 % interval. The interval is None with fewer than two clusters."""

    value: float
    low: float | None
    high: float | None


def wilson(count: int, of: int) -> Interval:
    """Return Wilson's interval, without continuity correction, for a share of independent clips. `of` is above 0."""
    found = stats.binomtest(count, of).proportion_ci(CONFIDENCE, method="wilson")
    return Interval(float(found.low), float(found.high))


def rate(hits: Mask, among: Mask, clusters: Clusters | None = None) -> Rate:
    """Return the share of `hits` in the clips `among`.

    `clusters`: cluster number of each clip, None if the clips are independent. If all clusters agree (the share is 0 or
    1), resampling shows no variation. The interval is then Wilson's for as many clips as there are clusters.
    """
    count, of = int(np.count_nonzero(hits & among)), int(np.count_nonzero(among))
    if of == 0:
        return Rate(None, 0, 0, None, None)
    if clusters is None:
        found = wilson(count, of)
    elif count in (0, of):
        number = len(np.unique(clusters[among]))
        found = wilson(number if count else 0, number)
    else:
        found = _resampled_ratio((hits & among).astype(float), among.astype(float), clusters) or Interval(0.0, 1.0)
    return Rate(count / of, count, of, found.low, found.high)


def mean(values: Floats, clusters: Clusters | None = None) -> Mean:
    """Return the mean of `values` with a bootstrap interval. Clips are independent if `clusters` is None."""
    numbers = np.arange(len(values)) if clusters is None else clusters
    found = _resampled_ratio(values, np.ones(len(values)), numbers)
    return Mean(float(values.mean()), found.low if found else None, found.high if found else None)


def resampled(measure: Callable[[Floats], float], clusters: Clusters, *, resamples: int = 500) -> Interval | None:
    """Return the bootstrap interval of a measure that takes a weight per clip.

    The weight is the number of times that the clip's cluster was drawn. The measure returns NaN for a draw in which it
    is undefined. Returns None with fewer than two clusters, or if more than 1 % of the draws are undefined.
    """
    _, index = np.unique(clusters, return_inverse=True)
    total = int(index.max(initial=-1)) + 1
    if total < 2:
        return None
    rng = np.random.default_rng(0)
    draws = (np.bincount(rng.integers(total, size=total), minlength=total)[index] for _ in range(resamples))
    values = np.array([measure(weights.astype(float)) for weights in draws])
    defined = values[np.isfinite(values)]
    if len(defined) < 0.99 * resamples:
        return None
    low, high = np.quantile(defined, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(low), float(high))


def _resampled_ratio(values: Floats, weights: Floats, clusters: Clusters) -> Interval | None:
    """Return the bootstrap interval of sum(values) / sum(weights), drawn by cluster."""
    _, index = np.unique(clusters, return_inverse=True)
    sums = np.bincount(index, values), np.bincount(index, weights)
    kept = sums[1] > 0
    if np.count_nonzero(kept) < 2:
        return None
    found = stats.bootstrap(
        (sums[0][kept], sums[1][kept]),
        lambda above, below, axis: above.sum(axis) / below.sum(axis),
        paired=True,
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=_BATCH,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return Interval(float(found.low), float(found.high))
