"""Paired differences between two models."""

import numpy as np
import pytest

from amd_service.lab.evaluation.comparison import compare, mcnemar
from amd_service.lab.evaluation.thresholds import Costs
from tests.support.evaluated import sample_of

COSTS = Costs(lost_human=5, missed_voicemail=1, undecided=0.25)


@pytest.mark.parametrize(
    ("only_this", "only_other", "p_value"),
    # 10 against 2 in 12 differing pairs: 2 * (1 + 12 + 66) / 2**12. 0 against 6: 2 / 2**6.
    [(10, 2, 158 / 4096), (0, 6, 1 / 32), (5, 5, 1.0), (0, 0, 1.0)],
)
def test_mcnemar_agrees_with_the_binomial_tail(only_this: int, only_other: int, p_value: float) -> None:
    assert mcnemar(only_this, only_other) == pytest.approx(p_value)
    assert mcnemar(only_other, only_this) == pytest.approx(p_value)


def test_pairs_are_counted_by_who_is_right_and_an_undecided_clip_is_not_right() -> None:
    this = sample_of([("human", 0.1), ("human", 0.1), ("voicemail", 0.5), ("voicemail", 0.9)])
    other = sample_of([("human", 0.1), ("human", 0.9), ("voicemail", 0.9), ("voicemail", 0.5)])
    found = compare(this, other, COSTS)
    assert (found.both, found.only_this, found.only_other, found.neither) == (1, 2, 1, 0)
    assert found.right.value == 0.25
    assert found.humans_lost is not None
    assert found.humans_lost.value == -0.5
    assert found.cost.value == pytest.approx((-5 + 0.25 - 0.25) / 4)


def test_a_model_against_itself_has_no_difference() -> None:
    sample = sample_of([("human", 0.1), ("voicemail", 0.2), ("voicemail", 0.9)])
    found = compare(sample, sample, COSTS)
    assert (found.p_value, found.right.low, found.right.high, found.cost.value) == (1.0, 0.0, 0.0, 0.0)


def test_the_paired_interval_is_narrower_than_the_interval_of_each_model() -> None:
    """Both models fail on the same hard clips, so the difference is known better than either rate."""
    hard = np.random.default_rng(4).random(400) < 0.4
    worse = [("voicemail", 0.2 if is_hard else 0.9) for is_hard in hard]
    better = [(label, 0.9 if number < 20 else score) for number, (label, score) in enumerate(worse)]
    found = compare(sample_of(better), sample_of(worse), COSTS)
    assert found.right.low is not None
    assert found.right.high is not None
    assert 0 < found.right.low < found.right.value < found.right.high
    assert found.right.high - found.right.low < 0.04


def test_clips_of_one_group_widen_the_interval_of_the_difference() -> None:
    better = [("human", 0.1)] * 100
    worse = [("human", 0.9 if number < 30 else 0.1) for number in range(100)]
    groups = [number // 10 for number in range(100)]
    plain = compare(sample_of(better), sample_of(worse), COSTS).right
    clustered = compare(sample_of(better, clusters=groups), sample_of(worse, clusters=groups), COSTS).right
    assert plain.low is not None
    assert clustered.low is not None
    assert plain.value == clustered.value
    assert clustered.low < plain.low - 0.05


def test_without_a_human_there_is_no_rate_of_lost_humans() -> None:
    sample = sample_of([("voicemail", 0.9)] * 2)
    assert compare(sample, sample, COSTS).humans_lost is None
