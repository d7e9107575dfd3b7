"""Models of the response bodies. The JSON of the responses and `/openapi.json` are generated from these models."""

from dataclasses import dataclass
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from amd_service.detection.classifier.engine_check import EngineCheck
from amd_service.detection.classifier.state import Phase
from amd_service.domain import (
    Anchor,
    BeepRule,
    Label,
    LongWindowRule,
    ModelIdentity,
    ModelRun,
    Reason,
    RhythmRule,
    Verdict,
    sid_pattern,
)


class Shape(BaseModel):
    """Base class of all models of response bodies."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class ScoresShape(Shape):
    """A probability for each label."""

    human: float = Field(ge=0, le=1)
    voicemail: float = Field(ge=0, le=1)


class WindowShape(Shape):
    """The part of the recording that the last model run scored."""

    start_ms: int = Field(ge=0)
    length_ms: int = Field(ge=1000)


class ScoredWindow(WindowShape):
    """A part of the recording, and the probabilities that the model gave it."""

    scores: ScoresShape

    @classmethod
    def of(cls, run: ModelRun) -> Self:
        return cls(start_ms=run.window_start_ms, length_ms=run.window_ms, scores=ScoresShape(**run.scores.as_dict()))


class ModelShape(Shape):
    """The model that scored the window."""

    id: str
    revision: str | None
    weights_sha256: str
    engine: str
    precision: str
    proof: str = Field(
        description="Result of checking the label order with golden clips (recordings with known labels)."
    )

    @classmethod
    def of(cls, model: ModelIdentity) -> Self:
        return cls(
            id=model.id,
            revision=model.revision,
            weights_sha256=model.weights_sha256,
            engine=model.engine,
            precision=model.precision,
            proof=model.proof,
        )


class PredictAnswer(Shape):
    """A verdict on an uploaded recording.

    `confidence`, `scores`, `window` and `model` describe the last model run. They are null when the model did not run.
    """

    label: Label
    confidence: float | None = Field(ge=0, le=1, description="The higher probability in `scores`.")
    processing_time_ms: float = Field(ge=0, description="Milliseconds from the complete upload to the response.")
    reason: Reason
    scores: ScoresShape | None = Field(description="Probabilities of the last model run. Their sum is 1.")
    onset_ms: int | None = Field(description="Milliseconds from the start of the recording to the start of speech.")
    window: WindowShape | None
    runs: int = Field(ge=0, le=2, description="Number of model runs: 2 if the confidence of the first run was too low.")
    channel: int | None = Field(
        description="Number of the judged channel, starting at 1. Null when the channels were mixed."
    )
    channels_mixed: bool
    model: ModelShape | None

    @classmethod
    def of(cls, verdict: Verdict, *, processing_ms: float, **more: Any) -> Self:
        """Build the response body of a verdict. `more`: the fields that a subclass adds."""
        run = verdict.runs[-1] if verdict.runs else None
        return cls(
            label=verdict.label,
            confidence=verdict.confidence,
            processing_time_ms=round(processing_ms, 1),
            reason=verdict.reason,
            scores=ScoresShape(**run.scores.as_dict()) if run else None,
            onset_ms=verdict.onset_ms,
            window=WindowShape(start_ms=run.window_start_ms, length_ms=run.window_ms) if run else None,
            runs=len(verdict.runs),
            channel=verdict.channel,
            channels_mixed=verdict.channels_mixed,
            model=ModelShape.of(run.model) if run else None,
            **more,
        )


class StreamLine(PredictAnswer):
    """A line of `/predict-stream`: a provisional verdict on the audio received so far, or the final verdict."""

    processing_time_ms: float = Field(ge=0, description="Milliseconds from the request's headers to this verdict.")
    provisional: bool
    speech_ms: int | None = Field(
        description="Milliseconds of speech received when a provisional verdict was made; null in the final verdict."
    )
    scored: list[ScoredWindow] = Field(
        description="The window of each model run, in order. With `longer_window=true`, the final verdict also has the "
        "longer window that the verdict did not need."
    )


class ProblemShape(Shape):
    """RFC 9457 problem details. `detail` says what to change."""

    title: str
    status: int
    detail: str


class GlimpseShape(Shape):
    """State of the classifier that is shown without an API key."""

    phase: Phase
    ready: bool
    demonstration: bool


class ClassifierShape(Shape):
    """State of the classifier. Later versions may add members.

    `reason` says what to do if the classifier is not ready.
    """

    model_config = ConfigDict(extra="allow")

    phase: Phase
    ready: bool
    reason: str
    model: ModelShape | None = Field(description="Null until the model is loaded.")
    demonstration: bool = Field(
        description="True for the bundled small model, which is for demonstration and tests only."
    )
    labels: list[Label] | None = Field(description="Labels of the model's outputs, in the order of the outputs.")
    labels_from: str | None = Field(description="Source of the label order.")


class PolicyShape(Shape):
    """Settings that influence a verdict, in addition to the model. They are stored with every verdict."""

    version: int
    min_confidence: ScoresShape = Field(
        description="Minimum probability for a verdict with the label `human` or `voicemail`."
    )
    window_ms: int
    long_window_ms: int = Field(description="Milliseconds of the second window. `long_window` says when it is scored.")
    long_window: LongWindowRule = Field(
        description="`unsure`: the second window is scored, and decides, if the confidence of the first is too low. "
        "`always`: it is always scored, and decides. If the first is sure of the other label, the label is `undecided`."
    )
    live_window_ms: int = Field(
        description="Milliseconds of the first look at a call in progress, if it is shorter than the first window."
    )
    anchor: Anchor
    beep: BeepRule = Field(description="Effect of a beep after speech in a recording.")
    rhythm: RhythmRule = Field(description="Effect of a rhythm that contradicts the model in a recording.")
    names_tones: bool = Field(description="Whether `heard` names the only kind of sound of a call without speech.")


class LimitsShape(Shape):
    """Limits for clients."""

    max_upload_bytes: int
    inference_queue: int = Field(
        description="Maximum number of windows that wait for the model. Further requests get 429."
    )


@dataclass(frozen=True, slots=True)
class Gate(EngineCheck):
    """The engine check. The OpenAPI document calls this schema `Gate`."""


class EngineShape(Shape):
    """The engine in use. The name and the precision of the engine are in `model`."""

    reason: str = Field(description="The reason why this engine was chosen.")
    gate: Gate | None = Field(
        description="Deviation from torch fp32, measured when the engine was exported; null for torch fp32."
    )


class ModelInfoAnswer(ClassifierShape):
    """The model in use, the decision policy and the limits for clients."""

    configured: str = Field(description="Value of the setting AMD_MODEL.")
    engine: EngineShape | None = Field(description="Null until the model is loaded.")
    policy: PolicyShape
    limits: LimitsShape
    twilio_api_url: str = Field(description="Base URL of Twilio's API. The service fetches recordings from this URL.")


class StartedAnswer(Shape):
    """A placed call."""

    call_sid: str = Field(
        pattern=sid_pattern("CA"),
        description="Twilio's CallSid. `GET /api/calls/{sid}` returns the call and its verdict.",
    )
    call_status: str = Field(description="`queued` for a new call. The current status if `replayed` is true.")
    replayed: bool = Field(description="True if an earlier request with the same Idempotency-Key placed the call.")


class HealthAnswer(Shape):
    """The process is alive."""

    status: Literal["alive"]
    version: str
    classifier: GlimpseShape


class ReadyAnswer(Shape):
    """Readiness to store callbacks. `reason` says why callbacks cannot be stored."""

    ready: bool
    reason: str | None


class NotReadyProblem(ProblemShape):
    """The problem while callbacks cannot be stored. Its members include the members of `ReadyAnswer`."""

    ready: bool
    reason: str


class ClassifierProblem(ProblemShape, ClassifierShape):
    """The problem while the classifier is not ready. Its members include the members of `ClassifierShape`."""


# The response bodies of all operations. The schemas of the OpenAPI document are these models and their nested models.
RESPONSE_MODELS = (
    PredictAnswer,
    StreamLine,
    ModelInfoAnswer,
    ClassifierShape,
    HealthAnswer,
    ReadyAnswer,
    ProblemShape,
    NotReadyProblem,
    ClassifierProblem,
    StartedAnswer,
)
