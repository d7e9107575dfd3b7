"""The rule `always`: the longer window decides, and a first window that is sure of the opposite leaves no label."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amd_service.detection.audio.input import AudioInput
from amd_service.detection.classifier.model_windows import ModelWindows
from amd_service.detection.classifier.request_queue import Priority
from amd_service.detection.decide_again import Thresholds, decide_again
from amd_service.detection.decision import Decision, Hints, Policy, decide
from amd_service.domain import Anchor, BeepRule, Label, LongWindowRule, ModelRun, Reason, Scores, Verdict
from amd_service.settings import Settings
from tests.support.detectors import ready, speech
from tests.support.models import RATE_HZ, StubEngine
from tests.support.signals import file_of
from tests.support.verdicts import MODEL, verdict

POLICY = Policy(0.7, 0.7, 2000, 5000, Anchor.AUTO, LongWindowRule.ALWAYS)
HUMAN, UNSURE, VOICEMAIL = Scores(0.9, 0.1), Scores(0.6, 0.4), Scores(0.2, 0.8)
scores = st.floats(0, 1).map(lambda human: Scores(human, 1 - human))


@pytest.mark.parametrize(
    ("first", "long", "expected"),
    [
        (HUMAN, HUMAN, (Label.HUMAN, Reason.CONFIDENT)),
        (UNSURE, HUMAN, (Label.HUMAN, Reason.CONFIDENT)),
        (VOICEMAIL, HUMAN, (Label.UNDECIDED, Reason.DISAGREEMENT)),
        (HUMAN, VOICEMAIL, (Label.UNDECIDED, Reason.DISAGREEMENT)),
        (HUMAN, UNSURE, (Label.UNDECIDED, Reason.LOW_CONFIDENCE)),
    ],
)
def test_the_longer_window_decides_unless_the_first_is_sure_of_the_opposite(
    first: Scores, long: Scores, expected: tuple[Label, Reason]
) -> None:
    found = decide(long, POLICY, first=first)
    assert (found.label, found.reason) == expected


def test_without_the_rule_an_earlier_window_counts_nothing() -> None:
    policy = replace(POLICY, long_window=LongWindowRule.UNSURE)
    assert decide(HUMAN, policy, first=VOICEMAIL).label is Label.HUMAN


def test_a_beep_decides_if_the_windows_disagree() -> None:
    policy = replace(POLICY, beep=BeepRule.UNDECIDED)
    assert decide(HUMAN, policy, Hints(has_beep=True), first=VOICEMAIL) == Decision(Label.VOICEMAIL, 0.1, Reason.BEEP)


def test_a_setting_overrides_the_rule_of_the_model() -> None:
    stated = ModelWindows(long_window=LongWindowRule.ALWAYS)
    assert Policy.from_settings(Settings(_env_file=None)).long_window is LongWindowRule.UNSURE
    assert Policy.from_settings(Settings(_env_file=None), stated).long_window is LongWindowRule.ALWAYS
    given = Settings(_env_file=None, long_window=LongWindowRule.UNSURE)
    assert Policy.from_settings(given, stated).long_window is LongWindowRule.UNSURE


def test_a_call_in_progress_gets_the_first_sure_label() -> None:
    assert POLICY.for_live().long_window is LongWindowRule.UNSURE


def test_policies_of_earlier_versions_look_again_only_if_unsure() -> None:
    stored = {key: value for key, value in POLICY.as_dict().items() if key != "long_window"}
    assert Policy.from_dict(stored).long_window is LongWindowRule.UNSURE
    assert Policy.from_dict(POLICY.as_dict()) == POLICY


def decided(first: Scores, long: Scores | None, policy: Policy) -> Verdict:
    """The verdict of the detector on these windows."""
    windows = [(first, 2000)] if long is None else [(first, 2000), (long, 5000)]
    found = decide(long or first, policy, first=None if long is None else first)
    runs = tuple(ModelRun(each, 0, length_ms, 12.5, MODEL) for each, length_ms in windows)
    stored = verdict(found.label, human=runs[-1].scores.human)
    return replace(stored, runs=runs, policy=policy.as_dict(), reason=found.reason, confidence=found.confidence)


@given(scores, st.none() | scores, st.sampled_from([0.55, 0.7, 0.9]), st.sampled_from([0.55, 0.7, 0.9]))
def test_other_thresholds_give_the_verdict_of_the_detector(
    first: Scores, long: Scores | None, human: float, voicemail: float
) -> None:
    changed = replace(POLICY, min_confidence_human=human, min_confidence_voicemail=voicemail)
    assert decide_again(decided(first, long, POLICY), Thresholds(human, voicemail)) == decided(first, long, changed)


@pytest.mark.anyio
async def test_the_detector_scores_both_windows_although_the_first_is_sure() -> None:
    """A greeting that is followed by silence: voicemail in the first window, human in the longer one."""
    engine = StubEngine(lambda clip: (0.0, 4.0) if len(clip) < 3 * RATE_HZ else (4.0, 0.0))
    long, short = (AudioInput(data=file_of(speech(seconds)), one_sided=True) for seconds in (6.0, 1.5))
    async with ready(engine, long_window="always") as detector:
        found = await detector.judge(long, priority=Priority.RECORDING)
        short_one = await detector.judge(short, priority=Priority.RECORDING)
        live = await detector.judge(long, priority=Priority.RECORDING, is_live=True)
    assert engine.calls == [[2.0], [5.0], [1.5], [2.0]]
    assert (found.label, found.reason, len(found.runs)) == (Label.UNDECIDED, Reason.DISAGREEMENT, 2)
    assert found.policy["long_window"] == "always"
    assert (short_one.label, live.label) == (Label.VOICEMAIL, Label.VOICEMAIL)
