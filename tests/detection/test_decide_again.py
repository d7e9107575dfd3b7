"""Stored verdicts are decided again with other thresholds. Nothing is guessed."""

from dataclasses import replace

import pytest

from amd_service.detection.decide_again import Thresholds, decide_again
from amd_service.detection.decision import Policy
from amd_service.domain import Anchor, Label, ModelRun, Reason, Scores, Verdict
from tests.support.verdicts import MODEL, no_speech, verdict

POLICY = Policy(0.7, 0.7, window_ms=2000, long_window_ms=5000, anchor=Anchor.AUTO)
ONE_WINDOW = replace(POLICY, long_window_ms=2000)
LOW, HIGH = Thresholds(0.6, 0.6), Thresholds(0.95, 0.95)


def judged(*human_scores: float, label: Label, window_ms: int = 2000, policy: Policy = POLICY) -> Verdict:
    """A verdict with one run for each score."""
    runs = tuple(
        ModelRun(Scores(score, 1 - score), 0, length, 12.5, MODEL)
        for score, length in zip(human_scores, (window_ms, 4000), strict=False)
    )
    return replace(verdict(label, human=human_scores[-1]), runs=runs, policy=policy.as_dict())


def again(stored: Verdict, thresholds: Thresholds) -> tuple[Label, Reason, int] | None:
    found = decide_again(stored, thresholds)
    return None if found is None else (found.label, found.reason, len(found.runs))


def test_a_first_run_that_reaches_the_new_threshold_decides() -> None:
    assert again(judged(0.97, label=Label.HUMAN), HIGH) == (Label.HUMAN, Reason.CONFIDENT, 1)
    # The detector would not have scored the second window, which says the opposite.
    assert again(judged(0.65, 0.2, label=Label.VOICEMAIL), LOW) == (Label.HUMAN, Reason.CONFIDENT, 1)


def test_a_second_run_decides_if_the_first_one_does_not_reach_the_new_threshold() -> None:
    assert again(judged(0.65, 0.96, label=Label.HUMAN), HIGH) == (Label.HUMAN, Reason.CONFIDENT, 2)
    assert again(judged(0.65, 0.8, label=Label.HUMAN), HIGH) == (Label.UNDECIDED, Reason.LOW_CONFIDENCE, 2)


def test_a_verdict_is_not_known_if_the_detector_would_have_scored_a_window_that_it_did_not_score() -> None:
    assert again(judged(0.9, label=Label.HUMAN), HIGH) is None


@pytest.mark.parametrize(
    "stored",
    [
        judged(0.9, label=Label.HUMAN, policy=ONE_WINDOW),
        judged(0.9, label=Label.HUMAN, window_ms=1500),
        # The detector wanted a longer window and found no more audio.
        judged(0.65, label=Label.UNDECIDED),
    ],
    ids=["no long window", "audio within the first window", "no more audio"],
)
def test_a_verdict_without_a_possible_second_run_is_known(stored: Verdict) -> None:
    assert again(stored, HIGH) == (Label.UNDECIDED, Reason.LOW_CONFIDENCE, 1)


def test_each_label_has_its_own_threshold() -> None:
    one_sided = Thresholds(human=0.95, voicemail=0.6)
    assert again(judged(0.65, 0.3, label=Label.VOICEMAIL), one_sided) == (Label.VOICEMAIL, Reason.CONFIDENT, 2)
    assert again(judged(0.65, 0.9, label=Label.HUMAN), one_sided) == (Label.UNDECIDED, Reason.LOW_CONFIDENCE, 2)


def test_a_verdict_without_a_run_stays() -> None:
    assert decide_again(no_speech(), LOW) == no_speech()


def test_a_verdict_with_an_unreadable_policy_is_not_known() -> None:
    assert decide_again(verdict(Label.HUMAN), LOW) is None


def test_the_policy_of_the_new_verdict_has_the_new_thresholds() -> None:
    found = decide_again(judged(0.97, label=Label.HUMAN), HIGH)
    assert found is not None
    assert Policy.from_dict(found.policy) == replace(POLICY, min_confidence_human=0.95, min_confidence_voicemail=0.95)


LONG = replace(POLICY, window_ms=5000, long_window_ms=8000)


def live(*human_scores: float, label: Label, window_ms: int) -> Verdict:
    """A verdict on a stream whose policy has an earlier look, of 2 s."""
    stored = judged(*human_scores, label=label, window_ms=window_ms, policy=LONG)
    return replace(stored, policy={**stored.policy, "live_window_ms": 2000})


@pytest.mark.parametrize(
    ("stored", "thresholds", "label"),
    [
        # The early look decided, and decides again only if it reaches the new threshold.
        (live(0.97, label=Label.HUMAN, window_ms=2000), HIGH, Label.HUMAN),
        (live(0.9, label=Label.HUMAN, window_ms=2000), HIGH, None),
        # The early look did not decide. Its scores are not stored, so a lower threshold could have decided.
        (live(0.97, label=Label.HUMAN, window_ms=5000), HIGH, Label.HUMAN),
        (live(0.97, label=Label.HUMAN, window_ms=5000), LOW, None),
        # The stream ended before the early look.
        (live(0.65, label=Label.UNDECIDED, window_ms=1500), LOW, Label.HUMAN),
    ],
)
def test_the_early_look_at_a_live_stream_is_not_guessed(
    stored: Verdict, thresholds: Thresholds, label: Label | None
) -> None:
    found = decide_again(stored, thresholds, is_live=True)
    assert (found.label if found else None) is label
