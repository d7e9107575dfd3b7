"""Decides again with other thresholds, from the scores of a stored verdict and without its audio."""

from dataclasses import dataclass, replace
from typing import Self

from amd_service.detection.decision import Hints, Policy, decide
from amd_service.domain import Label, LongWindowRule, Verdict
from amd_service.errors import InvalidThreshold
from amd_service.settings.types import check_threshold


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Minimum confidence of each label, as a probability above 0.5."""

    human: float
    voicemail: float

    @classmethod
    def changed(
        cls, present: Policy, *, both: float | None = None, human: float | None = None, voicemail: float | None = None
    ) -> Self:
        """Return the thresholds of a policy with changes. `both` is for the labels that have no value of their own.

        Raises InvalidThreshold.
        """
        values = {"min confidence": both, "min confidence of human": human, "min confidence of voicemail": voicemail}
        for name, value in values.items():
            try:
                if value is not None:
                    check_threshold(value)
            except ValueError as error:
                raise InvalidThreshold(f"{name} {value:g} {error}") from error
        return cls(human or both or present.min_confidence_human, voicemail or both or present.min_confidence_voicemail)


def decide_again(stored: Verdict, thresholds: Thresholds, *, is_live: bool = False) -> Verdict | None:
    """Return the verdict that the detector would have given with these thresholds, or None if it cannot be known.

    The rest of the policy stays as it was: the windows and the anchor. The verdict cannot be known if the detector
    would have scored a longer window that it did not score. Nothing is guessed. `is_live`: a verdict on a live stream.
    """
    if not stored.runs:
        return stored
    try:
        policy = Policy.from_dict(stored.policy)
    except (KeyError, TypeError, ValueError):  # stored by a version with another form of policy
        return None
    if is_live and not _has_known_looks(stored, policy, thresholds):
        return None
    changed = replace(policy, min_confidence_human=thresholds.human, min_confidence_voicemail=thresholds.voicemail)
    hints = Hints.from_evidence(stored.evidence)
    first = stored.runs[0].scores
    is_sure = policy.long_window is LongWindowRule.UNSURE and stored.label is not Label.UNDECIDED
    decision, used = decide(first, changed, hints, is_last=not policy.has_long_window), 1
    if changed.scores_longer_window(decision):
        if len(stored.runs) > 1:
            decision, used = decide(stored.runs[1].scores, changed, hints, first=first), 2
        elif is_sure and stored.runs[0].window_ms >= policy.window_ms:
            return None
        else:  # the audio ended within the first window, so that there was no longer window to score
            decision = decide(first, changed, hints)
    return replace(
        stored,
        label=decision.label,
        confidence=decision.confidence,
        reason=decision.reason,
        runs=stored.runs[:used],
        policy=changed.as_dict(),
    )


def _has_known_looks(stored: Verdict, policy: Policy, thresholds: Thresholds) -> bool:
    """Return False if the earlier look at a live stream makes the verdict unknown.

    The look is shorter than the first window. Its scores are stored only if they decided.
    """
    early_ms, scored_ms = stored.policy.get("live_window_ms", policy.window_ms), stored.runs[0].window_ms
    if not isinstance(early_ms, int) or early_ms >= policy.window_ms or scored_ms < early_ms:
        return True
    if scored_ms == early_ms:
        return (
            decide(
                stored.runs[0].scores,
                replace(policy, min_confidence_human=thresholds.human, min_confidence_voicemail=thresholds.voicemail),
            ).label
            is not Label.UNDECIDED
        )
    # The look did not decide. It would not have decided with higher thresholds either.
    return thresholds.human >= policy.min_confidence_human and thresholds.voicemail >= policy.min_confidence_voicemail
