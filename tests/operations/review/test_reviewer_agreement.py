"""Cohen's kappa of two reviewers."""

import pytest

from amd_service.domain import ReviewAnswer
from amd_service.operations.review.reviewer_agreement import MIN_PAIRS, measure_agreement

HUMAN, VOICEMAIL = ReviewAnswer.HUMAN, ReviewAnswer.VOICEMAIL


def test_kappa_has_the_value_of_a_published_example() -> None:
    """Source: https://en.wikipedia.org/wiki/Cohen%27s_kappa (50 grant proposals, kappa 0.4)."""
    pairs = {(HUMAN, HUMAN): 20, (HUMAN, VOICEMAIL): 5, (VOICEMAIL, HUMAN): 10, (VOICEMAIL, VOICEMAIL): 15}
    agreement = measure_agreement(pairs)
    assert agreement.agreed == 0.7
    assert agreement.kappa == pytest.approx(0.4)
    assert agreement.low == pytest.approx(0.4 - 1.96 * (0.7 * 0.3 / 50) ** 0.5 / 0.5)


def test_reviewers_who_always_agree_have_a_kappa_of_1() -> None:
    agreement = measure_agreement({(HUMAN, HUMAN): 40, (VOICEMAIL, VOICEMAIL): 30})
    assert (agreement.agreed, agreement.kappa, agreement.low, agreement.high) == (1, 1, 1, 1)


def test_answers_by_chance_have_a_kappa_of_0() -> None:
    agreement = measure_agreement({(first, second): 10 for first in ReviewAnswer for second in ReviewAnswer})
    assert agreement.kappa == pytest.approx(0)


def test_few_calls_and_equal_answers_have_no_kappa() -> None:
    few = measure_agreement({(HUMAN, HUMAN): MIN_PAIRS - 2, (VOICEMAIL, HUMAN): 1})
    assert (few.calls, few.is_enough, few.kappa) == (MIN_PAIRS - 1, False, None)
    equal = measure_agreement({(HUMAN, HUMAN): 500})
    assert (equal.is_enough, equal.agreed, equal.kappa) == (True, 1, None)
    assert measure_agreement({}).agreed is None
