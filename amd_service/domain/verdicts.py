"""Labels, scores and verdicts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Label(StrEnum):
    """The answer of a verdict. `UNDECIDED` is a valid answer and is never converted into one of the other two."""

    HUMAN = "human"
    VOICEMAIL = "voicemail"
    UNDECIDED = "undecided"


class Reason(StrEnum):
    """Why a judged call got its label."""

    CONFIDENT = "confident"
    LOW_CONFIDENCE = "low_confidence"
    NO_SPEECH = "no_speech"
    TOO_SHORT = "too_short"


@dataclass(frozen=True, slots=True)
class Scores:
    """Probabilities from one model run; they sum to 1."""

    human: float
    voicemail: float

    def as_dict(self) -> dict[str, float]:
        return {"human": self.human, "voicemail": self.voicemail}


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Everything needed to reproduce the scores of a run.

    `revision`: resolved commit of a hub model, None for a folder. `weights_sha256`: hex digest of the weights
    file. `proof`: the result of checking the label order with golden clips (`unproven` until they ran).
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
    """The detector's answer for one recording or stream.

    `confidence` is the probability of the top class in the deciding (last) run, also when the label is
    `undecided`; it is None exactly when no model ran. `channel` is the judged channel, counted from 1, None
    when the audio was mixed down. `policy`: the thresholds that were used.
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
