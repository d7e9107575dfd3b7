"""Labels, scores and verdicts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Label(StrEnum):
    """The result of a verdict: human, voicemail or undecided.

    `UNDECIDED` is a valid label and is never converted to another label.
    """

    HUMAN = "human"
    VOICEMAIL = "voicemail"
    UNDECIDED = "undecided"


class Reason(StrEnum):
    """Reason for the label of a verdict.

    `BEEP`: a beep after speech made the label voicemail. `DISAGREEMENT`: the model is confident, but the rhythm of
    speech and pauses, or the model itself in a shorter window, says the opposite.
    """

    CONFIDENT = "confident"
    BEEP = "beep"
    LOW_CONFIDENCE = "low_confidence"
    DISAGREEMENT = "disagreement"
    NO_SPEECH = "no_speech"
    TOO_SHORT = "too_short"


class Heard(StrEnum):
    """The only kind of sound in a call without speech. The values `SIT_…` are categories of special information tones.

    https://en.wikipedia.org/wiki/Special_information_tone
    """

    SIT_VACANT = "sit_vacant"
    SIT_INTERCEPT = "sit_intercept"
    SIT_REORDER = "sit_reorder"
    SIT_NO_CIRCUIT = "sit_no_circuit"
    SIT_INEFFECTIVE = "sit_ineffective"
    SIT_OTHER = "sit_other"
    BUSY = "busy"
    FAX = "fax"
    RINGBACK = "ringback"
    MUSIC = "music"


class BeepRule(StrEnum):
    """Effect of a beep after speech on the verdict on a recording: none, only if the model is not sure, or always."""

    OFF = "off"
    UNDECIDED = "undecided"
    ALWAYS = "always"


class LongWindowRule(StrEnum):
    """Use of the longer window: only after an unsure first window, or always.

    With `ALWAYS`, the longer window decides. If the first window is sure of the other label, the verdict is undecided.
    """

    UNSURE = "unsure"
    ALWAYS = "always"


class RhythmRule(StrEnum):
    """Effect of a rhythm that contradicts a confident model: none, a look at the longer window, or no label at last."""

    OFF = "off"
    LONGER_WINDOW = "longer_window"
    ABSTAIN = "abstain"


@dataclass(frozen=True, slots=True)
class Scores:
    """Probabilities from one model run. The sum is 1."""

    human: float
    voicemail: float

    def as_dict(self) -> dict[str, float]:
        return {"human": self.human, "voicemail": self.voicemail}


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """The model, engine and precision of a run, to reproduce its scores.

    `revision`: resolved commit of a Hugging Face model, None for a folder. `weights_sha256`: hex digest of the weights
    file. `proof`: result of the check that the model's labels are in the right order. The check classifies golden clips
    (recordings with known labels). `proof` is `unproven` before the check.
    """

    id: str
    revision: str | None
    weights_sha256: str
    engine: str = "torch"
    precision: str = "fp32"
    proof: str = "unproven"


@dataclass(frozen=True, slots=True)
class ModelRun:
    """One run of the model on one window."""

    scores: Scores
    window_start_ms: int
    window_ms: int
    inference_ms: float
    model: ModelIdentity


@dataclass(frozen=True, slots=True)
class Verdict:
    """The detector's result for one recording or stream.

    `confidence`: probability of the top class in the last run, also if the label is `undecided`. The confidence is None
    only if the model did not run. `channel`: the judged channel, counted from 1, None if the channels were mixed.
    `policy`: the thresholds that were used. `evidence`: JSON-ready values of `detection.evidence`, None if the audio is
    too short.
    """

    label: Label
    confidence: float | None
    reason: Reason
    onset_ms: int | None
    runs: tuple[ModelRun, ...]
    channel: int | None
    channels_mixed: bool
    audio_sha256: str
    policy: Mapping[str, object] = field(default_factory=dict)
    evidence: Mapping[str, object] | None = None
