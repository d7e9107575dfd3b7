"""Effect of beep and rhythm on the decision."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amd_service.detection.decide_again import Thresholds, decide_again
from amd_service.detection.decision import Decision, Hints, Policy, decide
from amd_service.domain import Anchor, BeepRule, Label, Reason, RhythmRule, Scores
from tests.support.verdicts import verdict

POLICY = Policy(0.7, 0.7, 2000, 5000, Anchor.AUTO)
HUMAN, UNSURE, VOICEMAIL = Scores(0.9, 0.1), Scores(0.6, 0.4), Scores(0.1, 0.9)
BEEP = Hints(has_beep=True)

scores = st.floats(0, 1).map(lambda human: Scores(human, 1 - human))
hints = st.builds(Hints, has_beep=st.booleans(), rhythm=st.sampled_from([None, Label.HUMAN, Label.VOICEMAIL]))


@given(scores, hints, st.booleans())
def test_evidence_changes_nothing_while_both_rules_are_off(scores: Scores, hints: Hints, is_last: bool) -> None:
    assert decide(scores, POLICY, hints, is_last=is_last) == decide(scores, POLICY)


def test_a_beep_decides_if_the_model_is_not_sure_of_the_last_window() -> None:
    policy = replace(POLICY, beep=BeepRule.UNDECIDED)
    assert decide(UNSURE, policy, BEEP) == Decision(Label.VOICEMAIL, 0.4, Reason.BEEP)
    assert decide(UNSURE, policy, BEEP, is_last=False).reason is Reason.LOW_CONFIDENCE
    assert decide(HUMAN, policy, BEEP).label is Label.HUMAN
    assert decide(VOICEMAIL, policy, BEEP).reason is Reason.CONFIDENT


def test_a_beep_overrules_a_confident_model_only_with_always() -> None:
    policy = replace(POLICY, beep=BeepRule.ALWAYS)
    assert decide(HUMAN, policy, BEEP, is_last=False) == Decision(Label.VOICEMAIL, 0.1, Reason.BEEP)


@pytest.mark.parametrize(
    ("rule", "is_last", "reason"),
    [
        (RhythmRule.OFF, False, Reason.CONFIDENT),
        (RhythmRule.LONGER_WINDOW, False, Reason.DISAGREEMENT),
        (RhythmRule.LONGER_WINDOW, True, Reason.CONFIDENT),
        (RhythmRule.ABSTAIN, False, Reason.DISAGREEMENT),
        (RhythmRule.ABSTAIN, True, Reason.DISAGREEMENT),
    ],
)
def test_a_contradicting_rhythm_prevents_a_label_as_the_rule_says(
    rule: RhythmRule, is_last: bool, reason: Reason
) -> None:
    decision = decide(HUMAN, replace(POLICY, rhythm=rule), Hints(rhythm=Label.VOICEMAIL), is_last=is_last)
    assert decision.reason is reason
    assert (decision.label is Label.UNDECIDED) == (reason is Reason.DISAGREEMENT)


def test_a_rhythm_that_agrees_or_says_nothing_changes_nothing() -> None:
    policy = replace(POLICY, rhythm=RhythmRule.ABSTAIN)
    assert decide(HUMAN, policy, Hints(rhythm=Label.HUMAN)).reason is Reason.CONFIDENT
    assert decide(HUMAN, policy, Hints()).reason is Reason.CONFIDENT


def stored_evidence(*, share: float = 0.5, audio_ms: int = 8000, beep: bool | None = None) -> dict:  # type: ignore[type-arg]
    rhythm = {"audio_ms": audio_ms, "speech_share": share}
    return {"rhythm": rhythm, "beep": None if beep is None else {"follows_speech": beep}}


def test_the_hints_are_read_from_stored_evidence() -> None:
    assert Hints.from_evidence(None) == Hints()
    assert Hints.from_evidence(stored_evidence(beep=True)).has_beep
    assert not Hints.from_evidence(stored_evidence(beep=False)).has_beep
    assert Hints.from_evidence(stored_evidence(share=0.7)).rhythm is Label.VOICEMAIL
    assert Hints.from_evidence(stored_evidence(share=0.1)).rhythm is Label.HUMAN
    assert Hints.from_evidence(stored_evidence(share=0.5)).rhythm is None
    assert Hints.from_evidence(stored_evidence(share=0.1, audio_ms=3000)).rhythm is None


def test_a_stored_verdict_is_decided_again_with_its_evidence() -> None:
    policy = replace(POLICY, beep=BeepRule.UNDECIDED)
    stored = replace(
        verdict(Label.VOICEMAIL, human=0.6, runs=2),
        reason=Reason.BEEP,
        confidence=0.4,
        policy=policy.as_dict(),
        evidence=stored_evidence(beep=True),
    )
    again = decide_again(stored, Thresholds(0.7, 0.7))
    assert again is not None
    assert (again.label, again.confidence, again.reason) == (Label.VOICEMAIL, 0.4, Reason.BEEP)
    lower = decide_again(stored, Thresholds(0.55, 0.7))
    assert lower is not None
    assert (lower.label, lower.reason) == (Label.HUMAN, Reason.CONFIDENT)
