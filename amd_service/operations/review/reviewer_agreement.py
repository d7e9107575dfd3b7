"""How well two reviewers of the same call agree, beyond what chance would give."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

from amd_service.domain import ReviewAnswer

# With fewer calls, the interval of kappa is so wide that the figure says nothing.
MIN_PAIRS = 30

Pairs = Mapping[tuple[ReviewAnswer, ReviewAnswer], int]


@dataclass(frozen=True, slots=True)
class Agreement:
    """`agreed`: share of equal answers. `kappa`: 1 for perfect agreement, 0 for the agreement of chance.

    `low` and `high`: 95 % interval of kappa. The three are None if there are fewer than MIN_PAIRS calls, or if all
    answers are the same, because chance then also gives perfect agreement.
    """

    calls: int
    agreed: float | None
    kappa: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def is_enough(self) -> bool:
        """Whether enough calls were reviewed by two people."""
        return self.calls >= MIN_PAIRS


def measure_agreement(pairs: Pairs) -> Agreement:
    """Compute Cohen's kappa of the first and the second answer about each call.

    Source of kappa and of its standard error: J. Cohen, A coefficient of agreement for nominal scales (1960),
    https://doi.org/10.1177/001316446002000104
    """
    calls = sum(pairs.values())
    if calls == 0:
        return Agreement(0, None)
    agreed = sum(count for (first, second), count in pairs.items() if first is second) / calls
    by_chance = sum(
        sum(count for (first, _), count in pairs.items() if first is answer)
        * sum(count for (_, second), count in pairs.items() if second is answer)
        for answer in ReviewAnswer
    ) / (calls * calls)
    if calls < MIN_PAIRS or by_chance == 1:
        return Agreement(calls, agreed)
    kappa = (agreed - by_chance) / (1 - by_chance)
    half_width = 1.96 * sqrt(agreed * (1 - agreed) / calls) / (1 - by_chance)
    return Agreement(calls, agreed, kappa, max(-1.0, kappa - half_width), min(1.0, kappa + half_width))
