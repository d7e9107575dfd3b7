"""Turns scores into a decision (human, voicemail or undecided) with its reason.

The functions of this module have no side effects.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from amd_service.detection.classifier.model_windows import NO_WINDOWS, ModelWindows
from amd_service.domain import Anchor, Label, Reason, Scores
from amd_service.settings import Settings
from amd_service.settings.detection import DEFAULT_MIN_CONFIDENCE

# This version is stored with every verdict. Increase the number when a code change leads to a different decision for
# the same scores.
POLICY_VERSION = 1

# Windows for a model without `windows.json`, such as the production model.
WINDOW_MS, LONG_WINDOW_MS = 2000, 5000
# A caller on the line waits for the first look at a call in progress, so this look comes early for every model.
LIVE_WINDOW_MS = 2000


@dataclass(frozen=True, slots=True)
class Policy:
    """Settings that, together with the model, determine a verdict. Thresholds are probabilities above 0.5.

    `live_window_ms`: length of the first look at a call in progress, if it is shorter than the first window.
    """

    min_confidence_human: float
    min_confidence_voicemail: float
    window_ms: int
    long_window_ms: int
    anchor: Anchor
    live_window_ms: int = LIVE_WINDOW_MS

    @property
    def has_long_window(self) -> bool:
        """True if a longer window is scored after a first window with low confidence."""
        return self.long_window_ms > self.window_ms

    @classmethod
    def from_settings(cls, settings: Settings, model: ModelWindows = NO_WINDOWS) -> Self:
        """Take each value from the settings, else from the model's `windows.json`, else the default.

        A first window above an inherited long window leaves no second window.
        """
        human, voicemail = settings.min_confidence_human, settings.min_confidence_voicemail
        both, default = settings.min_confidence, DEFAULT_MIN_CONFIDENCE
        window_ms = settings.window_ms or model.window_ms or WINDOW_MS
        early_ms = settings.window_ms or model.live_window_ms or LIVE_WINDOW_MS
        return cls(
            min_confidence_human=human or both or model.min_confidence_human or default,
            min_confidence_voicemail=voicemail or both or model.min_confidence_voicemail or default,
            window_ms=window_ms,
            long_window_ms=max(window_ms, settings.long_window_ms or model.long_window_ms or LONG_WINDOW_MS),
            anchor=settings.window_anchor,
            live_window_ms=min(window_ms, early_ms),
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
            "live_window_ms": self.live_window_ms,
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
            # Verdicts of earlier versions have no early look: their first look was the first window.
            live_window_ms=stored.get("live_window_ms", stored["window_ms"]),
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
