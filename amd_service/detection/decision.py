"""Scores → human, voicemail or undecided, with the reason. Pure functions."""

from dataclasses import dataclass
from typing import Self

from amd_service.domain import Anchor, Label, Reason, Scores
from amd_service.settings import Settings

# Increase when the same scores would lead to another decision. Stored with every verdict.
POLICY_VERSION = 1


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything besides the model that determines a verdict: thresholds (probabilities above 0.5), windows (ms)."""

    min_confidence_human: float
    min_confidence_voicemail: float
    window_ms: int
    long_window_ms: int
    anchor: Anchor

    @property
    def has_long_window(self) -> bool:
        """Whether an unsure first window is followed by a longer one."""
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
        """The form that is stored with a verdict; JSON-ready."""
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

    def threshold(self, label: Label) -> float:
        """The smallest confidence with which a call gets this label."""
        return self.min_confidence_human if label is Label.HUMAN else self.min_confidence_voicemail


@dataclass(frozen=True, slots=True)
class Decision:
    """A label with its reason. `confidence`: probability of the more probable class, also when undecided."""

    label: Label
    confidence: float
    reason: Reason


def top_label(scores: Scores) -> Label:
    """The more probable class."""
    return Label.HUMAN if scores.human > scores.voicemail else Label.VOICEMAIL


def decide(scores: Scores, policy: Policy) -> Decision:
    """The more probable class if it reaches its threshold, else `undecided` with low confidence."""
    label, confidence = top_label(scores), max(scores.human, scores.voicemail)
    if confidence >= policy.threshold(label):
        return Decision(label, confidence, Reason.CONFIDENT)
    return Decision(Label.UNDECIDED, confidence, Reason.LOW_CONFIDENCE)
