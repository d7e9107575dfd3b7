"""How many calls are needed for which claim: `python -m amd_service.lab.evaluation.sample_size` prints the tables."""

from collections.abc import Callable, Sequence
from math import ceil

import numpy as np
from scipy import stats

from amd_service.lab.evaluation.rates import CONFIDENCE, wilson

POWER = 0.8
_MOST = 1_000_000


def calls_for_half_width(share: float, half_width: float) -> int:
    """Return the calls of one label with which a measured share has an interval of at most ± `half_width`."""

    def is_narrow(calls: int) -> bool:
        found = wilson(round(share * calls), calls)
        return (found.high - found.low) / 2 <= half_width

    return _smallest(is_narrow)


def calls_without_error(bound: float) -> int:
    """Return the calls without any error that show an error rate below `bound`."""
    return _smallest(lambda calls: wilson(0, calls).high <= bound)


def mcnemar_power(calls: int, only_new: float, only_old: float) -> float:
    """Return the probability that the exact McNemar test finds a difference at 5 %.

    `only_new`, `only_old`: share of calls on which only the new or only the old model is right.
    """
    differing = np.arange(calls + 1)
    probability = stats.binom.pmf(differing, calls, only_new + only_old)
    kept = differing[probability > 1e-12]
    # The largest number of losses that is still significant: P(X <= limit) <= 2.5 %.
    limit = stats.binom.ppf((1 - CONFIDENCE) / 2, kept, 0.5)
    limit = np.where(stats.binom.cdf(limit, kept, 0.5) > (1 - CONFIDENCE) / 2, limit - 1, limit)
    wins = only_new / (only_new + only_old)
    found = stats.binom.cdf(limit, kept, wins) + stats.binom.sf(kept - limit - 1, kept, wins)
    return float(np.sum(probability[kept] * found))


def calls_for_difference(only_new: float, only_old: float) -> int:
    """Return the calls with which the exact McNemar test finds the difference with a probability of 80 %."""
    return _smallest(lambda calls: mcnemar_power(calls, only_new, only_old) >= POWER)


def design_effect(calls_per_group: float, correlation: float) -> float:
    """Return the factor by which calls of the same group multiply the number of calls needed (Kish, 1965).

    `correlation`: intraclass correlation, 0 if the calls of a group are independent, 1 if they are all alike.
    """
    return 1 + (calls_per_group - 1) * correlation


def tables() -> str:
    """Return the tables of docs/evaluating.md as Markdown."""
    widths, shares = (0.05, 0.03, 0.02, 0.01), (0.5, 0.8, 0.9, 0.95, 0.99)
    precision = [[f"{share:.0%}", *(f"{calls_for_half_width(share, width):,}" for width in widths)] for share in shares]
    bounds = [[f"{bound:.1%}", f"{calls_without_error(bound):,}"] for bound in (0.1, 0.05, 0.02, 0.01, 0.005)]
    pairs = ((0.06, 0.02), (0.04, 0.02), (0.03, 0.01), (0.1, 0.08), (0.02, 0.01))
    differences = [
        [f"{new:.0%}", f"{old:.0%}", f"{new - old:.0%}", f"{calls_for_difference(new, old):,}"] for new, old in pairs
    ]
    effects = [
        [str(size), *(f"{design_effect(size, correlation):.2g}" for correlation in (0.05, 0.2, 0.5))]
        for size in (2, 5, 10, 50)
    ]
    return "\n\n".join(
        [
            _markdown(["measured rate", *(f"± {100 * width:g} points" for width in widths)], precision),
            _markdown(["error rate below", "calls without any error"], bounds),
            _markdown(["only the new model is right", "only the old model is right", "gain", "calls"], differences),
            _markdown(["calls per group", "correlation 0.05", "0.2", "0.5"], effects),
        ]
    )


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---:"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _smallest(is_enough: Callable[[int], bool]) -> int:
    """Return a number of calls from which on `is_enough` holds.

    Exact binomial figures rise and fall by a few calls, so the result is rounded up to two significant digits.
    """
    low, high = 1, 2
    while not is_enough(high) and high < _MOST:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    step = int(10 ** max(len(str(high)) - 2, 0))
    return ceil(high / step) * step


if __name__ == "__main__":
    print(tables())  # noqa: T201 - output of a command
