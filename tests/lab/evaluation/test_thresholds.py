"""Costs at other thresholds, and whether a recommended threshold is a gain or chance."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amd_service.detection.decision import Policy, decide
from amd_service.domain import Anchor, LongWindowRule, Scores
from amd_service.lab.evaluation.sample import Code
from amd_service.lab.evaluation.thresholds import Costs, Thresholds, cost_per_clip, labels_at, recommend
from tests.support.evaluated import NOW, sample_of

COSTS = Costs(lost_human=5, missed_voicemail=1, undecided=0.25)
SCORES = st.floats(0, 1)
RULES = st.sampled_from(LongWindowRule)
MINIMUM = st.sampled_from([0.51, 0.6, 0.75, 0.9, 0.99])


@settings(max_examples=60)
@given(st.lists(st.tuples(SCORES, SCORES), min_size=1, max_size=20), MINIMUM, MINIMUM, RULES)
def test_other_thresholds_decide_as_the_detector_decides(
    scores: list[tuple[float, float]], human: float, voicemail: float, rule: LongWindowRule
) -> None:
    policy = Policy(human, voicemail, 2000, 5000, Anchor.AUTO, rule)
    longer = [long for _, long in scores]
    sample = sample_of([("human", first) for first, _ in scores], long=longer, long_window=rule)
    expected = []
    for number in range(len(scores)):
        first, long = (Scores(*windows[number].tolist()) for windows in (sample.first, sample.long))
        decision = decide(first, policy)
        if policy.scores_longer_window(decision):
            decision = decide(long, policy, first=first)
        expected.append(Code[decision.label.name])
    assert labels_at(sample, Thresholds(human, voicemail)).tolist() == expected


def test_a_clip_without_speech_stays_undecided_at_every_threshold() -> None:
    sample = sample_of([("human", None)])
    assert labels_at(sample, Thresholds(0.51, 0.51)).tolist() == [Code.UNDECIDED]


def test_each_kind_of_result_has_its_cost() -> None:
    sample = sample_of([("human", 0.1), ("human", 0.9), ("human", 0.5), ("voicemail", 0.9), ("voicemail", 0.1)])
    assert cost_per_clip(sample.truth, sample.called, COSTS).tolist() == [0, 5, 0.25, 0, 1]


def test_the_recommended_thresholds_follow_from_the_costs() -> None:
    """With calibrated scores, `voicemail` pays above 1 - 0.25 / 5 = 0.95, and `human` above 1 - 0.25 / 1 = 0.75."""
    sample = sample_of(_calibrated(2, 20_000))
    found = recommend(sample, NOW, COSTS)
    assert found.best.voicemail == pytest.approx(0.95, abs=0.02)
    assert found.best.human == pytest.approx(0.75, abs=0.04)
    assert found.is_better
    assert found.cost_best == pytest.approx(found.cost_held_out, abs=0.005)
    assert min(found.curve.voicemail) == pytest.approx(found.cost_best)
    assert min(found.curve.human) == pytest.approx(found.cost_best)


def _calibrated(seed: int, clips: int) -> list[tuple[str, float]]:
    """Draw clips whose score is the probability of voicemail."""
    rng = np.random.default_rng(seed)
    score = rng.random(clips)
    is_voicemail = rng.random(clips) < score
    return [("voicemail" if each else "human", s) for s, each in zip(score.tolist(), is_voicemail, strict=True)]


def test_a_gain_by_chance_is_not_recommended() -> None:
    """The present thresholds are already the best ones, so every gain is chance."""
    best = Thresholds(0.75, 0.95)
    found = [recommend(sample_of(_calibrated(seed, 200), thresholds=best), best, COSTS) for seed in range(15)]
    assert all(each.cost_best <= each.cost_now.value + 1e-9 for each in found)
    assert sum(each.is_better for each in found) <= 1


def test_few_independent_clips_never_prove_a_gain() -> None:
    clips = [("human", 0.85)] * 400  # all lost at a threshold of 0.7
    assert recommend(sample_of(clips), NOW, COSTS).is_better
    assert not recommend(sample_of(clips[:100]), NOW, COSTS).is_better
    assert not recommend(sample_of(clips, clusters=[number // 10 for number in range(400)]), NOW, COSTS).is_better


@settings(max_examples=20)
@given(st.lists(st.tuples(st.sampled_from(["human", "voicemail"]), SCORES, SCORES), min_size=1, max_size=15), RULES)
def test_the_curve_is_the_mean_cost_of_deciding_again(
    clips: list[tuple[str, float, float]], rule: LongWindowRule
) -> None:
    longer = [long for *_, long in clips]
    sample = sample_of([(label, first) for label, first, _ in clips], long=longer, long_window=rule)
    curve = recommend(sample, NOW, COSTS).curve
    again = [labels_at(sample, Thresholds(each, each)) for each in curve.thresholds]
    assert curve.both == pytest.approx([cost_per_clip(sample.truth, called, COSTS).mean() for called in again])


def test_equal_costs_keep_the_present_thresholds() -> None:
    sample = sample_of([("human", 0.01)] * 10 + [("voicemail", 0.995)] * 10)
    found = recommend(sample, NOW, COSTS)
    assert found.best == NOW
    assert not found.is_better


def test_one_cluster_is_not_enough_to_measure_the_gain() -> None:
    sample = sample_of([("human", 0.9), ("voicemail", 0.9), ("human", 0.2)], clusters=[4, 4, 4])
    found = recommend(sample, NOW, COSTS)
    assert (found.cost_held_out, found.change, found.is_better) == (None, None, False)


def test_a_verdict_that_the_scores_do_not_explain_keeps_its_label() -> None:
    sample = sample_of([("human", 0.99)] * 6)
    sample.called[:] = Code.UNDECIDED  # other evidence contradicted the model
    found = recommend(sample, NOW, COSTS)
    assert set(found.curve.both) == {0.25}
