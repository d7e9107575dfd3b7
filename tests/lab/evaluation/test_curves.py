"""ROC, calibration and coverage on data with a known answer."""

import numpy as np
import pytest

from amd_service.lab.evaluation.curves import calibrate, risk_coverage, roc
from amd_service.lab.evaluation.sample import Code
from tests.support.evaluated import sample_of


def test_auc_is_the_share_of_pairs_in_the_right_order() -> None:
    sample = sample_of([("human", 0.1), ("human", 0.6), ("voicemail", 0.4), ("voicemail", 0.9)])
    found = roc(sample.truth, sample.final)
    assert found.auc == 0.75
    assert (found.false_alarms[-1], found.found[-1]) == (1, 1)


def test_the_interval_of_auc_holds_the_truth() -> None:
    rng = np.random.default_rng(3)
    squashed = 1 / (1 + np.exp(-rng.normal(np.repeat([0, 1], 300), 1)))
    sample = sample_of([("human" if number < 300 else "voicemail", s) for number, s in enumerate(squashed.tolist())])
    found = roc(sample.truth, sample.final)
    # Two normal distributions one standard deviation apart: AUC = Φ(1/√2) = 0.7602.
    assert found.interval is not None
    assert found.interval.low < 0.7602 < found.interval.high
    # Hanley & McNeil (1982): standard error 0.0195 for 300 and 300 clips.
    assert found.interval.high - found.interval.low == pytest.approx(2 * 1.96 * 0.0195, rel=0.15)


def test_one_label_has_no_auc_and_clips_without_speech_are_left_out() -> None:
    sample = sample_of([("human", 0.1), ("human", None)])
    found = roc(sample.truth, sample.final)
    assert (found.auc, found.clips) == (None, 1)


@pytest.mark.parametrize(("score", "error"), [(0.999, 0.001), (0.75, 0.25)])
def test_the_calibration_error_is_the_gap_between_confidence_and_truth(score: float, error: float) -> None:
    found = calibrate(sample_of([("voicemail", score)] * 10))
    assert found.expected_error == pytest.approx(error)


def test_a_calibrated_score_has_no_calibration_error() -> None:
    clips = [("voicemail", 0.75)] * 75 + [("human", 0.75)] * 25 + [("human", 0.1)] * 90 + [("voicemail", 0.1)] * 10
    found = calibrate(sample_of(clips))
    assert found.expected_error == pytest.approx(0, abs=1e-12)
    assert [(bin_.accuracy.count, bin_.accuracy.of) for bin_ in found.bins] == [(75, 100), (90, 100)]


def test_gaps_of_opposite_sign_do_not_cancel_between_bins() -> None:
    found = calibrate(sample_of([("voicemail", 0.6)] * 10 + [("human", 0.9)] * 10))
    assert found.expected_error == pytest.approx((0.4 + 0.9) / 2)


def test_nothing_scored_has_no_calibration() -> None:
    found = calibrate(sample_of([("human", None)]))
    assert (found.expected_error, found.bins) == (None, [])


def test_risk_rises_with_coverage_if_confidence_orders_the_errors() -> None:
    clips = [("human", 0.05), ("voicemail", 0.9), ("human", 0.8), ("voicemail", 0.3), ("human", None)]
    found = risk_coverage(sample_of(clips))
    assert found.coverage == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert found.risk == pytest.approx([0, 0, 1 / 3, 2 / 4])


def test_equal_confidences_are_one_point() -> None:
    found = risk_coverage(sample_of([("human", 0.2), ("voicemail", 0.2), ("human", 0.2)]))
    assert found.coverage == [1.0]
    assert found.risk == pytest.approx([1 / 3])


def test_nothing_scored_covers_nothing() -> None:
    assert risk_coverage(sample_of([("human", None)])).coverage == []


def test_codes_are_columns_of_the_scores() -> None:
    sample = sample_of([("voicemail", 0.9)])
    assert sample.final[0, Code.VOICEMAIL] == 0.9
