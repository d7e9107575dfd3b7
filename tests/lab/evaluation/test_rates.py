"""Intervals against published values, and against repeated draws from a known truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amd_service.lab.evaluation.rates import mean, rate, resampled, wilson


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    # R. G. Newcombe, Two-sided confidence intervals for the single proportion, Statistics in Medicine 17 (1998),
    # table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_agrees_with_published_values(count: int, of: int, low: float, high: float) -> None:
    found = wilson(count, of)
    assert [found.low, found.high] == pytest.approx([low, high], abs=5e-5)


@settings(max_examples=30)
@given(st.integers(1, 500).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_wilson_contains_the_share_and_mirrors_its_complement(numbers: tuple[int, int]) -> None:
    count, of = numbers
    found, mirrored = wilson(count, of), wilson(of - count, of)
    assert 0 <= found.low <= count / of <= found.high <= 1
    assert found.low == pytest.approx(1 - mirrored.high)


def test_a_rate_of_no_clips_is_unknown() -> None:
    nobody = np.zeros(3, bool)
    assert rate(~nobody, nobody).share is None


def test_only_hits_among_the_chosen_clips_count() -> None:
    found = rate(np.array([True, True, False, True]), np.array([True, False, True, True]))
    assert found.share == pytest.approx(2 / 3)
    assert (found.count, found.of) == (2, 3)


def _clustered_calls(rng: np.random.Generator, groups: int, calls: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw groups whose rate of hits varies around 0.7 (beta distribution with intraclass correlation 0.2)."""
    shares = rng.beta(0.7 * 4, 0.3 * 4, size=groups)
    hits = rng.random((groups, calls)) < shares[:, None]
    return hits.ravel(), np.repeat(np.arange(groups), calls)


def test_clustered_intervals_hold_the_truth_as_often_as_stated_and_wilson_does_not() -> None:
    rng = np.random.default_rng(5)
    covered = {"clustered": 0, "wilson": 0}
    for _ in range(80):
        hits, groups = _clustered_calls(rng, groups=40, calls=10)
        for name, clusters in (("clustered", groups), ("wilson", None)):
            found = rate(hits, np.ones(len(hits), bool), clusters)
            assert found.low is not None
            assert found.high is not None
            covered[name] += found.low <= 0.7 <= found.high
    assert covered["clustered"] / 80 >= 0.9
    assert covered["wilson"] / 80 <= 0.85


def test_clusters_of_one_clip_give_nearly_the_interval_of_wilson() -> None:
    hits = np.arange(400) % 4 > 0
    plain, clustered = (rate(hits, np.ones(400, bool), each) for each in (None, np.arange(400)))
    assert clustered.low == pytest.approx(plain.low, abs=0.01)
    assert clustered.high == pytest.approx(plain.high, abs=0.01)


def test_a_perfect_score_in_few_clusters_is_not_reported_as_certain() -> None:
    found = rate(np.ones(100, bool), np.ones(100, bool), np.repeat(np.arange(5), 20))
    assert found.low == pytest.approx(wilson(5, 5).low)


def test_one_cluster_says_nothing_about_other_clusters() -> None:
    found = rate(np.arange(10) < 5, np.ones(10, bool), np.zeros(10, np.int64))
    assert (found.low, found.high) == (0.0, 1.0)
    assert mean(np.arange(10.0), np.zeros(10, np.int64)).low is None


def test_the_mean_has_the_interval_of_the_normal_distribution() -> None:
    values = np.random.default_rng(1).normal(3, 2, size=900)
    found = mean(values)
    half_width = 1.96 * values.std() / 30
    assert found.low == pytest.approx(values.mean() - half_width, abs=0.02)
    assert found.high == pytest.approx(values.mean() + half_width, abs=0.02)


def test_intervals_are_the_same_on_every_run() -> None:
    values = np.random.default_rng(1).normal(size=50)
    assert mean(values) == mean(values)


def test_a_measure_that_is_often_undefined_has_no_interval() -> None:
    assert resampled(lambda weights: float("nan") if weights[0] else 1.0, np.arange(5)) is None
