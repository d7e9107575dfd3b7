"""Error rates of all calls, estimated from the reviewed calls and their sampling probabilities.

A plain average over reviewed calls is wrong, because difficult calls are drawn for review more often than others. Here
each reviewed call stands for the calls of its cell that nobody reviewed (Horvitz-Thompson weights, calibrated to the
known number of calls in the cell). A cell holds the calls with the same stratum and label, of one or more weeks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
import numpy.typing as npt

from amd_service.domain import Label

# Prior of the answers in a cell. Its intervals have nearly the stated coverage also for rare errors. The usual value
# 1/2 gave 87 % coverage instead of 95 % for an error rate of 0.3 %; this value gave at least 90 %.
# Source: J. Kerman, Neutral noninformative and informative conjugate beta and gamma prior distributions (2011).
NEUTRAL_PRIOR = 1 / 3

DRAWS = 4000
INTERVAL = (0.025, 0.975)
TARGET_HALF_WIDTH = 0.01

# Order of the answers in the arrays of this module.
HUMAN, VOICEMAIL, NEITHER = range(3)


@dataclass(frozen=True, slots=True)
class Cell:
    """Calls with the same stratum and label, of one or more weeks.

    `calls`: number of calls in the cell. `human`, `voicemail`, `neither`: answers of the reviewed calls, without calls
    that the reviewer could not tell.
    """

    label: Label
    calls: int
    human: int = 0
    voicemail: int = 0
    neither: int = 0

    @property
    def answers(self) -> tuple[int, int, int]:
        """Numbers of answers in the order of this module."""
        return self.human, self.voicemail, self.neither

    @property
    def reviewed(self) -> int:
        """Number of reviewed calls."""
        return sum(self.answers)


@dataclass(frozen=True, slots=True)
class ErrorRate:
    """An error rate with its 95 % interval, all from 0 to 1.

    `rate`: None if no call was reviewed whose true answer counts. `reviews`: number of reviewed calls. `more_reviews`:
    number of further reviews, drawn as before, until the interval is about ±1 %, at most the calls that are left.
    """

    rate: float | None
    low: float
    high: float
    reviews: int
    more_reviews: int


@dataclass(frozen=True, slots=True)
class ErrorRates:
    """Share of the humans that were labelled voicemail, and share of the voicemails that were labelled human."""

    humans_called_voicemail: ErrorRate
    voicemails_called_human: ErrorRate


def estimate_error_rates(cells: Sequence[Cell], *, seed: int = 0) -> ErrorRates:
    """Estimate the error rates of all calls in `cells`.

    The interval comes from `DRAWS` simulated completions of the unreviewed calls, so `seed` changes its last digits.
    """
    random = np.random.default_rng(seed)
    completions = [_completions(cell, random) for cell in cells]
    return ErrorRates(
        _rate(cells, completions, truth=HUMAN, wrong=Label.VOICEMAIL),
        _rate(cells, completions, truth=VOICEMAIL, wrong=Label.HUMAN),
    )


def _completions(cell: Cell, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """Simulate the true answers of all calls of a cell `DRAWS` times.

    Returns shape (DRAWS, 3). Each row sums to `cell.calls`.
    """
    answers = np.asarray(cell.answers)
    shares = random.dirichlet(answers + NEUTRAL_PRIOR, size=DRAWS)
    unreviewed = max(0, cell.calls - cell.reviewed)
    return answers + random.multinomial(unreviewed, shares)


def _rate(
    cells: Sequence[Cell], completions: Sequence[npt.NDArray[np.int64]], *, truth: int, wrong: Label
) -> ErrorRate:
    errors, total = np.zeros(DRAWS), np.zeros(DRAWS)
    for cell, completion in zip(cells, completions, strict=True):
        total += completion[:, truth]
        if cell.label == wrong:
            errors += completion[:, truth]
    # Without any such call in a completion, the rate can be anything.
    rates = np.divide(errors, total, out=np.linspace(0, 1, DRAWS), where=total > 0)
    low, high = np.quantile(rates, INTERVAL)
    reviews = sum(cell.reviewed for cell in cells)
    half_width = (high - low) / 2
    left = max(0, sum(cell.calls for cell in cells) - reviews)
    wanted = ceil(max(reviews, 1) * max(0.0, (half_width / TARGET_HALF_WIDTH) ** 2 - 1))
    return ErrorRate(
        rate=_weighted_rate(cells, truth, wrong),
        low=float(low),
        high=float(high),
        reviews=reviews,
        more_reviews=min(left, wanted),
    )


def _weighted_rate(cells: Sequence[Cell], truth: int, wrong: Label) -> float | None:
    """Return the Horvitz-Thompson estimate, or None if no reviewed call has this true answer."""
    weights = [
        (cell.label == wrong, cell.answers[truth] * cell.calls / cell.reviewed) for cell in cells if cell.reviewed
    ]
    total = sum(weight for _, weight in weights)
    return sum(weight for is_error, weight in weights if is_error) / total if total else None
