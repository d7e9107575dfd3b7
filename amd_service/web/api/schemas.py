"""The answers of the HTTP API, as models: what is sent and what `/openapi.json` says are one thing."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from amd_service.detection.classifier.engine_check import EngineCheck
from amd_service.detection.classifier.inference import Phase
from amd_service.domain import Anchor, Label, ModelIdentity, ModelRun, Reason, Verdict


class Shape(BaseModel):
    """Base of all answers."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class ScoresShape(Shape):
    """A number for each label, 0 to 1."""

    human: float = Field(ge=0, le=1)
    voicemail: float = Field(ge=0, le=1)


class WindowShape(Shape):
    """The stretch of the recording that the deciding run was given."""

    start_ms: int = Field(ge=0)
    length_ms: int = Field(ge=1000)


class ModelShape(Shape):
    """The model that scored the window."""

    id: str
    revision: str | None
    weights_sha256: str
    engine: str
    precision: str
    proof: str = Field(description="What the golden clips said about the label order.")

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
    """A verdict on an upload. `scores`, `window` and `model` are null, like `confidence`, when no model ran."""

    label: Label
    confidence: float | None = Field(ge=0, le=1, description="Probability of the top class in the deciding run.")
    processing_time_ms: float = Field(ge=0, description="From the complete upload to the answer.")
    reason: Reason
    scores: ScoresShape | None = Field(description="Probabilities of the deciding run; they sum to 1.")
    onset_ms: int | None = Field(description="Where speech begins in the recording.")
    window: WindowShape | None
    runs: int = Field(ge=0, le=2, description="Model runs: 2 when the first window was unsure.")
    channel: int | None = Field(description="The judged channel, from 1; null when channels were mixed.")
    channels_mixed: bool
    model: ModelShape | None

    @classmethod
    def of(cls, verdict: Verdict, *, processing_ms: float, **more: Any) -> Self:
        """The verdict as JSON shows it; `more` are the fields a subclass adds."""
        run = verdict.runs[-1] if verdict.runs else None
        return cls(
            label=verdict.label,
            confidence=verdict.confidence,
            processing_time_ms=round(processing_ms, 1),
            reason=verdict.reason,
            scores=ScoresShape(**run.scores.as_dict()) if run else None,
            onset_ms=verdict.onset_ms,
            window=_window(run) if run else None,
            runs=len(verdict.runs),
            channel=verdict.channel,
            channels_mixed=verdict.channels_mixed,
            model=ModelShape.of(run.model) if run else None,
            **more,
        )


def _window(run: ModelRun) -> WindowShape:
    return WindowShape(start_ms=run.window_start_ms, length_ms=run.window_ms)


class StreamLine(PredictAnswer):
    """A line of `/predict-stream`: a verdict on what has arrived so far, then the final one."""

    processing_time_ms: float = Field(ge=0, description="From the request's head to this line.")
    provisional: bool
    speech_ms: int | None = Field(
        description="Speech heard when a provisional verdict was made; null in the final one."
    )


class ProblemShape(Shape):
    """RFC 9457 problem details. `detail` says what to change."""

    title: str
    status: int
    detail: str


class GlimpseShape(Shape):
    """How far the classifier is, for everybody; why, is for those with a key."""

    phase: Phase
    ready: bool
    demonstration: bool


class ClassifierShape(Shape):
    """How the classifier is; `reason` says what to do where it is not ready. More members may come."""

    model_config = ConfigDict(extra="allow")

    phase: Phase
    ready: bool
    reason: str
    model: ModelShape | None = Field(description="Null until the model is loaded.")
    demonstration: bool = Field(description="The small model that ships answers: for demonstration and tests only.")
    labels: list[Label] | None = Field(description="The model's outputs in their order.")
    labels_from: str | None = Field(description="How that order is known.")


class PolicyShape(Shape):
    """What a verdict rests on besides the model; stored with every verdict."""

    version: int
    min_confidence: ScoresShape = Field(description="Least probability with which a call gets that label.")
    window_ms: int
    long_window_ms: int = Field(description="The second window, for when the first leaves it open.")
    anchor: Anchor


class LimitsShape(Shape):
    """What a caller may ask for."""

    max_upload_bytes: int
    inference_queue: int = Field(description="Windows that may wait for the model; beyond that 429.")


class EngineShape(Shape):
    """The engine that serves; its name and precision are the model's."""

    reason: str = Field(description="Why this one.")
    gate: EngineCheck | None = Field(
        description="How far it was from torch fp32 when it was exported; null for torch fp32 itself."
    )


class ModelInfoAnswer(ClassifierShape):
    """The model that answers, how it is used, and what it is allowed."""

    configured: str = Field(description="AMD_MODEL.")
    engine: EngineShape | None = Field(description="Null until the model is loaded.")
    policy: PolicyShape
    limits: LimitsShape
    twilio_api_url: str = Field(description="Where recordings are fetched.")


class StartedAnswer(Shape):
    """A call that was placed."""

    call_sid: str = Field(description="Twilio's CallSid: `/api/calls/{sid}` follows the call to its verdict.")
    call_status: str = Field(description="`queued` when it was placed; in a replay, its status by now.")
    replayed: bool = Field(description="An earlier request with the same Idempotency-Key placed it.")


class HealthAnswer(Shape):
    """The process is alive."""

    status: Literal["alive"]
    version: str
    classifier: GlimpseShape


class ReadyAnswer(Shape):
    """Whether callbacks can be taken, and why not."""

    ready: bool
    reason: str | None


# The answers that operations refer to; their parts become components of the document by themselves.
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
