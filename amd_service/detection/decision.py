"""Turns scores and evidence into a decision (human, voicemail or undecided) with its reason.

The functions of this module have no side effects.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from amd_service.detection.classifier.model_windows import LIVE_WINDOW_MS, NO_WINDOWS, ModelWindows, WindowLengths
from amd_service.domain import Anchor, BeepRule, Label, LongWindowRule, Reason, RhythmRule, Scores
from amd_service.settings import Settings
from amd_service.settings.detection import DEFAULT_MIN_CONFIDENCE

# This version is stored with every verdict. Increase the number when a code change leads to a different decision for
# the same scores and evidence.
POLICY_VERSION = 3

# Rhythm of a human: at most this much speech in the first 8 s, of which at least RHYTHM_MS were recorded.
HUMAN_SPEECH_MS = 1_500
# Rhythm of a voicemail: at least this much speech in the first 8 s.
VOICEMAIL_SPEECH_MS = 5_000
RHYTHM_MS = 6_000


@dataclass(frozen=True, slots=True)
class Policy:
    """Settings that, together with the model, determine a verdict. Thresholds are probabilities above 0.5.

    `live_window_ms`: length of the first look at a call in progress, if it is shorter than the first window.
    `names_tones`: whether the evidence names the only kind of sound of a call without speech.
    """

    min_confidence_human: float
    min_confidence_voicemail: float
    window_ms: int
    long_window_ms: int
    anchor: Anchor
    long_window: LongWindowRule = LongWindowRule.UNSURE
    live_window_ms: int = LIVE_WINDOW_MS
    beep: BeepRule = BeepRule.OFF
    rhythm: RhythmRule = RhythmRule.OFF
    names_tones: bool = True

    @property
    def has_long_window(self) -> bool:
        """True if a longer window can be scored after the first window."""
        return self.long_window_ms > self.window_ms

    @classmethod
    def from_settings(cls, settings: Settings, model: ModelWindows = NO_WINDOWS) -> Self:
        """Take each value from the settings, else from the model's `windows.json`, else the default."""
        human, voicemail = settings.min_confidence_human, settings.min_confidence_voicemail
        both, default = settings.min_confidence, DEFAULT_MIN_CONFIDENCE
        lengths = WindowLengths.from_settings(settings, model)
        return cls(
            min_confidence_human=human or both or model.min_confidence_human or default,
            min_confidence_voicemail=voicemail or both or model.min_confidence_voicemail or default,
            window_ms=lengths.window_ms,
            long_window_ms=lengths.long_window_ms,
            anchor=settings.window_anchor,
            long_window=settings.long_window or model.long_window or LongWindowRule.UNSURE,
            live_window_ms=lengths.live_window_ms,
            beep=settings.beep_evidence,
            rhythm=settings.rhythm_evidence,
            names_tones=settings.tone_evidence == "heard",
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
            "long_window": str(self.long_window),
            "live_window_ms": self.live_window_ms,
            "anchor": str(self.anchor),
            "beep": str(self.beep),
            "rhythm": str(self.rhythm),
            "names_tones": self.names_tones,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Return the policy with the values of `as_dict`. Raises KeyError, TypeError or ValueError for other values.

        Version 1 had no rules about beep and rhythm, and version 2 had no rule about the longer window.
        """
        return cls(
            min_confidence_human=stored["min_confidence"]["human"],
            min_confidence_voicemail=stored["min_confidence"]["voicemail"],
            window_ms=stored["window_ms"],
            long_window_ms=stored["long_window_ms"],
            anchor=Anchor(stored["anchor"]),
            long_window=LongWindowRule(stored.get("long_window", LongWindowRule.UNSURE)),
            # Verdicts of earlier versions have no early look: their first look was the first window.
            live_window_ms=stored.get("live_window_ms", stored["window_ms"]),
            beep=BeepRule(stored.get("beep", BeepRule.OFF)),
            rhythm=RhythmRule(stored.get("rhythm", RhythmRule.OFF)),
            names_tones=stored.get("names_tones", False),
        )

    def for_live(self) -> Self:
        """Return the policy for a call in progress, on which a caller waits for the verdict.

        The first sure window decides. The rules about evidence do not apply, because a stream does not have it yet.
        """
        return replace(self, beep=BeepRule.OFF, rhythm=RhythmRule.OFF, long_window=LongWindowRule.UNSURE)

    def scores_longer_window(self, first: "Decision") -> bool:
        """Return True if the longer window is scored after this decision about the first window."""
        is_wanted = self.long_window is LongWindowRule.ALWAYS or first.label is Label.UNDECIDED
        return self.has_long_window and is_wanted

    def threshold(self, label: Label) -> float:
        """Return the minimum confidence for a decision for this label, as a probability."""
        return self.min_confidence_human if label is Label.HUMAN else self.min_confidence_voicemail


@dataclass(frozen=True, slots=True)
class Hints:
    """The evidence that a decision uses. `rhythm`: the label that rhythm alone suggests, None if it is not clear."""

    has_beep: bool = False
    rhythm: Label | None = None

    @classmethod
    def from_evidence(cls, evidence: Mapping[str, Any] | None) -> Self:
        """Read the evidence of a verdict, as `Evidence.as_dict` returns it and the database stores it."""
        if evidence is None:
            return cls()
        beep, rhythm = evidence["beep"], evidence["rhythm"]
        return cls(has_beep=beep is not None and beep["follows_speech"], rhythm=_label_of_rhythm(rhythm))


@dataclass(frozen=True, slots=True)
class Decision:
    """A label with its reason.

    `confidence`: probability of the more probable label, even if the decision is `undecided`. With the reason `beep`:
    probability of voicemail.
    """

    label: Label
    confidence: float
    reason: Reason


def top_label(scores: Scores) -> Label:
    """Return the more probable label. If both scores are equal, the label is voicemail."""
    return Label.HUMAN if scores.human > scores.voicemail else Label.VOICEMAIL


def decide(
    scores: Scores,
    policy: Policy,
    hints: Hints | None = None,
    *,
    is_last: bool = True,
    first: Scores | None = None,
) -> Decision:
    """Choose the more probable label if its score reaches the label's threshold.

    Otherwise the label is `undecided` and the reason is `low_confidence`. The policy's rules about beep, rhythm and the
    longer window can change the decision. `is_last`: False if a longer window can follow. Some rules wait for it.
    `first`: the scores of the first window, if `scores` are those of the longer window.
    """
    hints = hints or Hints()
    label, confidence = top_label(scores), max(scores.human, scores.voicemail)
    if confidence < policy.threshold(label):
        decision = Decision(Label.UNDECIDED, confidence, Reason.LOW_CONFIDENCE)
    elif _is_contradicted(label, policy, hints, is_last=is_last, first=first):
        decision = Decision(Label.UNDECIDED, confidence, Reason.DISAGREEMENT)
    else:
        decision = Decision(label, confidence, Reason.CONFIDENT)
    is_open = decision.label is Label.UNDECIDED and is_last
    wins = policy.beep is BeepRule.ALWAYS or (policy.beep is BeepRule.UNDECIDED and is_open)
    if hints.has_beep and wins and decision.label is not Label.VOICEMAIL:
        return Decision(Label.VOICEMAIL, scores.voicemail, Reason.BEEP)
    return decision


def _is_contradicted(label: Label, policy: Policy, hints: Hints, *, is_last: bool, first: Scores | None) -> bool:
    """Return True if the first window is sure of the other label, or the rhythm suggests it, and the rules count it."""
    if policy.long_window is LongWindowRule.ALWAYS and first is not None:
        opposite = top_label(first)
        if opposite is not label and max(first.human, first.voicemail) >= policy.threshold(opposite):
            return True
    return hints.rhythm not in (None, label) and _counts(policy.rhythm, is_last=is_last)


def _counts(rule: RhythmRule, *, is_last: bool) -> bool:
    """Return True if a contradicting rhythm prevents a label."""
    match rule:
        case RhythmRule.OFF:
            return False
        case RhythmRule.LONGER_WINDOW:
            return not is_last
        case RhythmRule.ABSTAIN:
            return True


def _label_of_rhythm(rhythm: Mapping[str, Any]) -> Label | None:
    """Return the label that rhythm alone suggests, or None if it is not clear or too little audio was heard."""
    spoken_ms = rhythm["speech_share"] * rhythm["audio_ms"]
    if rhythm["audio_ms"] < RHYTHM_MS or not spoken_ms:
        return None
    if spoken_ms >= VOICEMAIL_SPEECH_MS:
        return Label.VOICEMAIL
    return Label.HUMAN if spoken_ms <= HUMAN_SPEECH_MS else None
