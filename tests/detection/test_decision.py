"""Properties of the decision from scores to a label."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amd_service.detection.classifier.model_windows import ModelWindows
from amd_service.detection.decision import Policy, decide
from amd_service.domain import Anchor, Label, Reason, Scores
from amd_service.settings import Settings

probabilities = st.floats(0, 1)
thresholds = st.floats(0.5, 1, exclude_min=True, exclude_max=True)
all_scores = probabilities.map(lambda human: Scores(human, 1 - human))
policies = st.builds(
    Policy, thresholds, thresholds, st.integers(1000, 10_000), st.integers(1000, 15_000), st.sampled_from(Anchor)
)


@given(all_scores, policies)
def test_a_label_is_given_exactly_when_its_threshold_is_reached(scores: Scores, policy: Policy) -> None:
    human = scores.human >= policy.min_confidence_human
    voicemail = scores.voicemail >= policy.min_confidence_voicemail
    expected = Label.HUMAN if human else Label.VOICEMAIL if voicemail else Label.UNDECIDED
    assert decide(scores, policy).label is expected


@given(all_scores, policies)
def test_confidence_is_the_probability_of_the_more_probable_label(scores: Scores, policy: Policy) -> None:
    assert decide(scores, policy).confidence == max(scores.human, scores.voicemail)


@given(all_scores, policies)
def test_undecided_always_has_low_confidence_as_its_reason(scores: Scores, policy: Policy) -> None:
    decision = decide(scores, policy)
    assert (decision.label is Label.UNDECIDED) == (decision.reason is Reason.LOW_CONFIDENCE)
    assert decision.reason in (Reason.CONFIDENT, Reason.LOW_CONFIDENCE)


@given(all_scores, policies, thresholds)
def test_a_stricter_threshold_only_removes_labels(scores: Scores, policy: Policy, other: float) -> None:
    stricter = replace(policy, min_confidence_voicemail=max(other, policy.min_confidence_voicemail))
    before, after = decide(scores, policy).label, decide(scores, stricter).label
    assert after in (before, Label.UNDECIDED)
    if before is not Label.VOICEMAIL:
        assert after is before


@given(policies)
def test_a_tie_is_undecided(policy: Policy) -> None:
    assert decide(Scores(0.5, 0.5), policy).label is Label.UNDECIDED


@pytest.mark.parametrize(
    ("human", "label"), [(0.7, Label.HUMAN), (0.69, Label.UNDECIDED), (0.31, Label.UNDECIDED), (0.2, Label.VOICEMAIL)]
)
def test_the_default_threshold_is_seven_tenths(human: float, label: Label) -> None:
    assert decide(Scores(human, 1 - human), Policy.from_settings(Settings())).label is label


def test_one_threshold_applies_to_both_labels_by_default() -> None:
    policy = Policy.from_settings(Settings(min_confidence=0.8, min_confidence_voicemail=0.95))
    assert (policy.threshold(Label.HUMAN), policy.threshold(Label.VOICEMAIL)) == (0.8, 0.95)


def test_the_stored_policy_is_json_with_every_threshold() -> None:
    stored = json.loads(json.dumps(Policy(0.7, 0.9, 2000, 5000, Anchor.AUTO).as_dict()))
    assert stored == {
        "version": 3,
        "min_confidence": {"human": 0.7, "voicemail": 0.9},
        "window_ms": 2000,
        "long_window_ms": 5000,
        "long_window": "unsure",
        "live_window_ms": 2000,
        "anchor": "auto",
        "beep": "off",
        "rhythm": "off",
        "names_tones": True,
    }


STATED = ModelWindows(window_ms=5000, long_window_ms=8000, min_confidence_human=0.8, min_confidence_voicemail=0.9)


def test_the_model_states_windows_and_thresholds() -> None:
    policy = Policy.from_settings(Settings(), STATED)
    assert (policy.window_ms, policy.long_window_ms, policy.live_window_ms) == (5000, 8000, 2000)
    assert (policy.threshold(Label.HUMAN), policy.threshold(Label.VOICEMAIL)) == (0.8, 0.9)


def test_a_model_without_stated_windows_gets_two_and_five_seconds() -> None:
    policy = Policy.from_settings(Settings())
    assert (policy.window_ms, policy.long_window_ms, policy.live_window_ms) == (2000, 5000, 2000)
    assert (policy.threshold(Label.HUMAN), policy.threshold(Label.VOICEMAIL)) == (0.7, 0.7)


def test_settings_override_the_model_one_by_one() -> None:
    policy = Policy.from_settings(Settings(window_ms=3000, min_confidence=0.6, min_confidence_human=0.95), STATED)
    assert (policy.window_ms, policy.long_window_ms, policy.live_window_ms) == (3000, 8000, 3000)
    assert (policy.threshold(Label.HUMAN), policy.threshold(Label.VOICEMAIL)) == (0.95, 0.6)


def test_a_first_window_above_the_inherited_second_leaves_no_second_window() -> None:
    assert not Policy.from_settings(Settings(window_ms=6000)).has_long_window
