"""Settings of the model and the decision."""

from typing import Annotated, Self

from pydantic import BaseModel, Field, model_validator

from amd_service.domain import Anchor, BeepRule, LongWindowRule, RhythmRule
from amd_service.settings.types import ExpandedPath, Threshold, home, one_of

PRODUCTION_MODEL = "jakeBland/wav2vec-vm-finetune"
# Minimum confidence if neither a setting nor the model states one.
DEFAULT_MIN_CONFIDENCE = 0.7


class DetectionSettings(BaseModel):
    """Model, window and confidence thresholds."""

    model: str = Field(
        PRODUCTION_MODEL,
        description="Model: a Hugging Face id, a folder, or `demo` (a small model that is part of this service, "
        "trained on synthetic speech).",
    )
    model_revision: str | None = Field(None, description="Commit, tag or branch of a Hugging Face model.")
    labels: str | None = Field(
        None,
        description="Label names in the order of the model's outputs, e.g. `human,voicemail`. Required only if the "
        "model's config has no label names.",
    )
    engine: Annotated[str, one_of("auto", "torch", "onnx", "openvino")] = Field(
        "auto",
        description="Inference engine: `torch`, `onnx`, `openvino` or `auto`. `auto` chooses torch with CUDA if "
        "available, else an exported engine that passed its check, else torch.",
    )
    precision: Annotated[str, one_of("fp32", "bf16", "int8")] | None = Field(
        None,
        description="Number format of the model: `fp32`, `bf16` or `int8`. If unset, bf16 is used if the CPU supports "
        "bf16, else fp32.",
    )
    cache_dir: ExpandedPath = Field(
        default_factory=lambda: home("AMD_CACHE_DIR") / ".cache" / "amd-service",
        description="Folder for exported engines and the results of their checks.",
    )
    threads: int | None = Field(
        None,
        ge=1,
        description="Intra-op threads of the engine. If unset, each core available to the process gets one thread.",
    )
    min_confidence: Threshold | None = Field(
        None,
        description="Minimum confidence of the labels `human` and `voicemail`. If unset, the thresholds in the model's "
        "`windows.json` apply, else 0.7. If the confidence of the first "
        "window is lower, or if `AMD_LONG_WINDOW` says so, a longer window is scored. If the confidence of the last "
        "window is lower, the label is `undecided`.",
    )
    min_confidence_human: Threshold | None = Field(
        None, description="Minimum confidence of `human`. If unset, `AMD_MIN_CONFIDENCE` applies."
    )
    min_confidence_voicemail: Threshold | None = Field(
        None,
        description="Minimum confidence of `voicemail`. If unset, `AMD_MIN_CONFIDENCE` applies. Set a higher value if "
        "it is worse to treat a human as a voicemail than a voicemail as a human.",
    )
    golden: Annotated[str, one_of("enforce", "warn")] = Field(
        "enforce",
        description="Reaction if golden clips (recordings with known labels) contradict the order of the model's "
        "labels. `enforce`: the classifier is not ready. `warn`: the service only logs a warning.",
    )
    golden_dir: ExpandedPath | None = Field(
        None,
        description="Folder of your golden clips. Its subfolders `human/` and `voicemail/` must have at least 5 "
        "mono recordings each.",
    )
    window_anchor: Anchor = Field(
        Anchor.AUTO,
        description="Start of the window: `answer` (start of the recording), `onset` (start of speech) or `auto` "
        "(`onset` if speech starts late, else `answer`).",
    )
    window_ms: int | None = Field(
        None,
        ge=1000,
        le=10_000,
        description="Milliseconds of the first window. If unset, the length in the model's `windows.json` applies, "
        "else 2000, which suits the production model.",
    )
    long_window_ms: int | None = Field(
        None,
        ge=1000,
        le=15_000,
        description="Milliseconds of the second window. If unset, the length in the model's `windows.json` applies, "
        "else 5000. `AMD_LONG_WINDOW` says when it is scored.",
    )
    long_window: LongWindowRule | None = Field(
        None,
        description="Use of the second window for a recording. `unsure`: it is scored, and decides, if the confidence "
        "of the first window is too low. `always`: it is always scored, and decides. If the first window is sure of "
        "the other label, the label is `undecided`. If unset, the rule in the model's `windows.json` applies, else "
        "`unsure`. In a call in progress, the first sure window decides.",
    )
    beep_evidence: BeepRule = Field(
        BeepRule.UNDECIDED,
        description="Effect of a beep after uninterrupted speech in a recording: `off`, `undecided` (the label is "
        "`voicemail` if the model is not sure) or `always` (the label is `voicemail`). Live verdicts ignore beeps.",
    )
    rhythm_evidence: RhythmRule = Field(
        RhythmRule.OFF,
        description="Effect of a rhythm of speech and pauses that contradicts a confident model in a recording: `off`, "
        "`longer_window` (the longer window decides, by the rule of `AMD_LONG_WINDOW`) or `abstain` (the longer window "
        "is scored; if the rhythm contradicts it too, the label is `undecided`).",
    )
    tone_evidence: Annotated[str, one_of("off", "heard")] = Field(
        "heard",
        description="Effect of tones or music in a call without speech: `off`, or `heard` (the column `heard` of the "
        "call names them). The label stays `undecided`.",
    )
    inference_queue: int = Field(
        32,
        ge=1,
        description="Maximum number of windows that wait for the model. This number is also the maximum number of "
        "concurrent requests to `/predict` and to `/predict-stream`. Further requests get a 429.",
    )

    @model_validator(mode="after")
    def _check_windows(self) -> Self:
        if self.window_ms and self.long_window_ms and self.window_ms > self.long_window_ms:
            raise ValueError(
                f"AMD_WINDOW_MS={self.window_ms} is above AMD_LONG_WINDOW_MS={self.long_window_ms}: the second window "
                "must not be shorter than the first window"
            )
        return self
