"""Every state of a call has a plain sentence, and every failure has a cure."""

from datetime import UTC, datetime, timedelta

import pytest

from amd_service.calls.tables import CallLog, Recording, VerdictRow
from amd_service.calls.whole_call import WholeCall
from amd_service.domain import AnalysisState, Failure, Label, Reason
from amd_service.web.pages.explanations import EXPLANATIONS, UNKNOWN, explain, explain_new_analysis, percent
from tests.support.sids import ACCOUNT, CALL, OTHER_CALL, RECORDING

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
OPEN_STATES = set(AnalysisState) - {AnalysisState.JUDGED, AnalysisState.FAILED}


def whole(call: CallLog, *recordings: Recording, run: VerdictRow | None = None) -> WholeCall:
    call.call_sid, call.account_sid = CALL, ACCOUNT
    return WholeCall(call, list(recordings), [run] if run else [], [], [], [], NOW)


def recording(state: str = "done", attempts: int = 1, **columns: object) -> Recording:
    return Recording(
        recording_sid=RECORDING, state=state, attempts=attempts, available_at=NOW + timedelta(seconds=30), **columns
    )


def judged(label: Label, reason: Reason, human: float, **policy: object) -> WholeCall:
    run = VerdictRow(
        id=1, recording_sid=RECORDING, decided=True, human_score=human, voicemail_score=1 - human, policy=policy
    )
    confidence = max(human, 1 - human)
    call = CallLog(analysis_state="judged", label=label, reason=reason, confidence=confidence, recording_sid=RECORDING)
    return whole(call, recording(), run=run)


def test_the_table_is_complete() -> None:
    assert set(EXPLANATIONS) == {*Reason, *Failure, *OPEN_STATES}


@pytest.mark.parametrize("failure", Failure)
def test_every_failure_has_a_cause_and_a_cure(failure: Failure) -> None:
    found = explain(whole(CallLog(analysis_state="failed", reason=failure), recording(state="dead", error_code=31205)))
    assert found.why.startswith("No verdict, because")
    assert found.cure
    assert "$" not in found.why + found.cure
    assert UNKNOWN not in found.why


@pytest.mark.parametrize("state", sorted(OPEN_STATES))
def test_every_other_state_is_explained(state: AnalysisState) -> None:
    found = explain(whole(CallLog(analysis_state=state, call_status="no-answer")))
    assert "$" not in found.why + (found.cure or "")


@pytest.mark.parametrize("reason", sorted(set(Reason) - {Reason.CONFIDENT, Reason.BEEP}))
def test_every_undecided_verdict_is_explained_and_has_a_cure(reason: Reason) -> None:
    found = explain(judged(Label.UNDECIDED, reason, 0.4, min_confidence=0.7))
    assert found.why.startswith("Undecided, because")
    assert found.cure


def test_a_low_confidence_is_compared_with_the_threshold_of_the_higher_score() -> None:
    thresholds = {"human": 0.7, "voicemail": 0.9}
    found = explain(judged(Label.UNDECIDED, Reason.LOW_CONFIDENCE, 0.2, min_confidence=thresholds))
    assert "80.0 % for voicemail, is below the threshold of 90.0 %" in found.why


def test_a_score_slightly_below_the_threshold_does_not_look_equal_to_it() -> None:
    found = explain(judged(Label.UNDECIDED, Reason.LOW_CONFIDENCE, 0.69984, min_confidence=0.7))
    assert "69.9 % for human, is below the threshold of 70.0 %" in found.why


def test_a_score_slightly_above_the_threshold_does_not_look_equal_to_it() -> None:
    found = explain(judged(Label.HUMAN, Reason.CONFIDENT, 0.7002, min_confidence=0.7))
    assert "a score of 70.02 %, which reaches the threshold of 70.0 %" in found.why


def test_the_score_in_the_sentence_is_rounded_as_on_the_rest_of_the_page() -> None:
    found = explain(judged(Label.HUMAN, Reason.CONFIDENT, 0.9766, min_confidence=0.7))
    assert f"a score of {percent(0.9766)}," in found.why


def test_a_confident_verdict_names_score_and_threshold() -> None:
    thresholds = {"human": 0.7, "voicemail": 0.9}
    found = explain(judged(Label.HUMAN, Reason.CONFIDENT, 0.95, min_confidence=thresholds))
    assert found.why == "The model gave human a score of 95.0 %, which reaches the threshold of 70.0 %."


def test_a_leg_of_another_call_names_the_call() -> None:
    found = explain(whole(CallLog(analysis_state="not_applicable", parent_call_sid=OTHER_CALL)))
    assert OTHER_CALL in found.why


def test_the_next_attempt_is_counted() -> None:
    assert "attempt 4" in explain(whole(CallLog(analysis_state="queued"), recording("queued", attempts=3))).why
    assert "attempt" not in explain(whole(CallLog(analysis_state="queued"), recording("queued", attempts=0))).why


def test_a_new_analysis_is_announced_until_it_ends() -> None:
    call = judged(Label.HUMAN, Reason.CONFIDENT, 0.9, min_confidence=0.7)
    assert explain_new_analysis(call) is None
    call.recordings[0].state = "queued"
    assert "analysed again" in (explain_new_analysis(call) or "")
