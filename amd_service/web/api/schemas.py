"""The answers of the HTTP API as models: the source of the JSON that is sent and of `/openapi.json`."""

from dataclasses import dataclass
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from amd_service.detection.classifier.engine_check import EngineCheck
from amd_service.detection.classifier.state import Phase
from amd_service.domain import Anchor, Label, ModelIdentity, Reason, Verdict


class Shape(BaseModel):
    """Base of all answers."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class ScoresShape(Shape):
    """A probability for each label."""

    human: float = Field(ge=0, le=1)
    voicemail: float = Field(ge=0, le=1)


class WindowShape(Shape):
    """The part of the recording that the deciding model run judged."""

    start_ms: int = Field(ge=0)
    length_ms: int = Field(ge=1000)


class ModelShape(Shape):
    """The model that scored the window."""

    id: str
    revision: str | None
    weights_sha256: str
    engine: str
    precision: str
    proof: str = Field(description="Result of checking the label order with golden clips.")

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
    """A verdict on an upload. `confidence`, `scores`, `window` and `model` are null when no model ran."""

    label: Label
    confidence: float | None = Field(ge=0, le=1, description="Probability of the top class in the deciding run.")
    processing_time_ms: float = Field(ge=0, description="From the complete upload to the answer.")
    reason: Reason
    scores: ScoresShape | None = Field(description="Probabilities of the deciding run; they sum to 1.")
    onset_ms: int | None = Field(description="Start of speech in the recording.")
    window: WindowShape | None
    runs: int = Field(ge=0, le=2, description="Model runs: 2 when the first window was unsure.")
    channel: int | None = Field(description="The judged channel, from 1; null when channels were mixed.")
    channels_mixed: bool
    model: ModelShape | None

    @classmethod
    def of(cls, verdict: Verdict, *, processing_ms: float, **more: Any) -> Self:
        """A verdict as JSON. `more`: the fields of a subclass."""
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
    """A line of `/predict-stream`: a verdict on what has arrived so far, then the final one."""

    processing_time_ms: float = Field(ge=0, description="From the request's headers to this line.")
    provisional: bool
    speech_ms: int | None = Field(description="Speech that a provisional verdict rests on; null in the final one.")


class ProblemShape(Shape):
    """RFC 9457 problem details. `detail` says what to change."""

    title: str
    status: int
    detail: str


class GlimpseShape(Shape):
    """Public state of the classifier. Its reasons need a key."""

    phase: Phase
    ready: bool
    demonstration: bool


class ClassifierShape(Shape):
    """State of the classifier. While it is not ready, `reason` says what to do. Members may be added."""

    model_config = ConfigDict(extra="allow")

    phase: Phase
    ready: bool
    reason: str
    model: ModelShape | None = Field(description="Null until the model is loaded.")
    demonstration: bool = Field(description="The bundled small model answers: for demonstration and tests only.")
    labels: list[Label] | None = Field(description="The model's outputs in their order.")
    labels_from: str | None = Field(description="Where that order comes from.")


class PolicyShape(Shape):
    """Settings of a verdict besides the model. Stored with every verdict."""

    version: int
    min_confidence: ScoresShape = Field(description="Minimum probability for each label.")
    window_ms: int
    long_window_ms: int = Field(description="The second window, used when the first is unsure.")
    anchor: Anchor


class LimitsShape(Shape):
    """Limits for clients."""

    max_upload_bytes: int
    inference_queue: int = Field(description="Windows that may wait for the model; more get 429.")


@dataclass(frozen=True, slots=True)
class Gate(EngineCheck):
    """The engine check, under the name that the document has always given it."""


class EngineShape(Shape):
    """The engine in use. Its name and precision are in `model`."""

    reason: str = Field(description="Why this engine was chosen.")
    gate: Gate | None = Field(
        description="Its deviation from torch fp32 when it was exported; null for torch fp32 itself."
    )


class ModelInfoAnswer(ClassifierShape):
    """The model in use, its policy and its limits."""

    configured: str = Field(description="AMD_MODEL.")
    engine: EngineShape | None = Field(description="Null until the model is loaded.")
    policy: PolicyShape
    limits: LimitsShape
    twilio_api_url: str = Field(description="Base URL of the API that recordings are fetched from.")


class StartedAnswer(Shape):
    """A placed call."""

    call_sid: str = Field(description="Twilio's CallSid: `/api/calls/{sid}` follows the call to its verdict.")
    call_status: str = Field(description="`queued` for a new call; in a replay, its current status.")
    replayed: bool = Field(description="An earlier request with the same Idempotency-Key placed it.")


class HealthAnswer(Shape):
    """The process is alive."""

    status: Literal["alive"]
    version: str
    classifier: GlimpseShape


class ReadyAnswer(Shape):
    """Whether callbacks can be stored, and why not."""

    ready: bool
    reason: str | None


# The answers that operations refer to. Components of the document come from these and the models they contain.
ANSWERS = (
    PredictAnswer,
    StreamLine,
    ModelInfoAnswer,
    ClassifierShape,
    HealthAnswer,
    ReadyAnswer,
    ProblemShape,
    StartedAnswer,
)
