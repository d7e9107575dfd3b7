"""Decides again with other thresholds, from the scores of a stored verdict and without its audio."""

from dataclasses import dataclass, replace

from amd_service.detection.decision import Policy, decide
from amd_service.domain import Label, Verdict


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Minimum confidence of each label, as a probability above 0.5."""

    human: float
    voicemail: float


def decide_again(stored: Verdict, thresholds: Thresholds) -> Verdict | None:
    """Return the verdict that the detector would have given with these thresholds, or None if it cannot be known.

    The rest of the policy stays as it was: the windows and the anchor. The verdict cannot be known if the detector
    would have scored a longer window that it did not score. Nothing is guessed.
    """
    if not stored.runs:
        return stored
    try:
        policy = Policy.from_dict(stored.policy)
    except (KeyError, TypeError, ValueError):  # stored by a version with another form of policy
        return None
    changed = replace(policy, min_confidence_human=thresholds.human, min_confidence_voicemail=thresholds.voicemail)
    decision, used = decide(stored.runs[0].scores, changed), 1
    if decision.label is Label.UNDECIDED and policy.has_long_window:
        if len(stored.runs) > 1:
            decision, used = decide(stored.runs[1].scores, changed), 2
        elif not _ended_in_first_window(stored, policy):
            return None
    return replace(
        stored,
        label=decision.label,
        confidence=decision.confidence,
        reason=decision.reason,
        runs=stored.runs[:used],
        policy=changed.as_dict(),
    )


def _ended_in_first_window(stored: Verdict, policy: Policy) -> bool:
    """Return True if the detector found no audio after the first window of a verdict with one run."""
    return stored.label is Label.UNDECIDED or stored.runs[0].window_ms < policy.window_ms
