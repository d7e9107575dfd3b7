"""The answers of the HTTP API, as models: what is sent and what `/openapi.json` says are one thing."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from amd_service.domain import Label, ModelIdentity, ModelRun, Reason, Verdict


class Shape(BaseModel):
    """Base of all answers."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class ScoresShape(Shape):
    """Probabilities of the deciding run; they sum to 1."""

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
    scores: ScoresShape | None
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

    provisional: bool
    speech_ms: int | None = Field(
        description="Speech heard when a provisional verdict was made; null in the final one."
    )


class ProblemShape(Shape):
    """RFC 9457 problem details. `detail` says what to change."""

    title: str
    status: int
    detail: str


class HealthAnswer(Shape):
    """The process is alive."""

    status: Literal["alive"]
    version: str
    classifier: dict[str, JsonValue]


class ReadyAnswer(Shape):
    """Whether callbacks can be taken, and why not."""

    ready: bool
    reason: str | None
