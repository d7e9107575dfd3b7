"""Turns scores into a decision (human, voicemail or undecided) with its reason.

The functions of this module have no side effects.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from amd_service.domain import Anchor, Label, Reason, Scores
from amd_service.settings import Settings

# This version is stored with every verdict. Increase the number when a code change leads to a different decision for
# the same scores.
POLICY_VERSION = 1


@dataclass(frozen=True, slots=True)
class Policy:
    """Settings that, together with the model, determine a verdict. Thresholds are probabilities above 0.5."""

    min_confidence_human: float
    min_confidence_voicemail: float
    window_ms: int
    long_window_ms: int
    anchor: Anchor

    @property
    def has_long_window(self) -> bool:
        """True if a longer window is scored after a first window with low confidence."""
        return self.long_window_ms > self.window_ms

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        return cls(
            min_confidence_human=settings.min_confidence_human or settings.min_confidence,
            min_confidence_voicemail=settings.min_confidence_voicemail or settings.min_confidence,
            window_ms=settings.window_ms,
            long_window_ms=settings.long_window_ms,
            anchor=settings.window_anchor,
        )

    def as_dict(self) -> dict[str, object]:
        """Return the policy as JSON-ready values. A verdict is stored with these values."""
        return {
            "version": POLICY_VERSION,
            "min_confidence": {
                "human": self.min_confidence_human,
                "voicemail": self.min_confidence_voicemail,
            },
            "window_ms": self.window_ms,
            "long_window_ms": self.long_window_ms,
            "anchor": str(self.anchor),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Return the policy with the values of `as_dict`. Raises KeyError, TypeError or ValueError for other values."""
        return cls(
            min_confidence_human=stored["min_confidence"]["human"],
            min_confidence_voicemail=stored["min_confidence"]["voicemail"],
            window_ms=stored["window_ms"],
            long_window_ms=stored["long_window_ms"],
            anchor=Anchor(stored["anchor"]),
        )

    def threshold(self, label: Label) -> float:
        """Return the minimum confidence for a decision for this label, as a probability."""
        return self.min_confidence_human if label is Label.HUMAN else self.min_confidence_voicemail


@dataclass(frozen=True, slots=True)
class Decision:
    """A label with its reason.

    `confidence`: probability of the more probable label, even if the decision is `undecided`.
    """

    label: Label
    confidence: float
    reason: Reason


def top_label(scores: Scores) -> Label:
    """Return the more probable label. If both scores are equal, the label is voicemail."""
    return Label.HUMAN if scores.human > scores.voicemail else Label.VOICEMAIL


def decide(scores: Scores, policy: Policy) -> Decision:
    """Choose the more probable label if its score reaches the label's threshold.

    Otherwise the label is `undecided` and the reason is `low_confidence`.
    """
    label, confidence = top_label(scores), max(scores.human, scores.voicemail)
    if confidence >= policy.threshold(label):
        return Decision(label, confidence, Reason.CONFIDENT)
    return Decision(Label.UNDECIDED, confidence, Reason.LOW_CONFIDENCE)
