"""Settings of the model and the decision."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, field_validator

from amd_service.domain import Anchor
from amd_service.settings.types import one_of

PRODUCTION_MODEL = "jakeBland/wav2vec-vm-finetune"


class DetectionSettings(BaseModel):
    """Model, window and confidence thresholds."""

    model: str = Field(
        PRODUCTION_MODEL,
        description="Hub id, folder, or `demo` for the small model that ships (trained on synthetic speech).",
    )
    model_revision: str | None = Field(None, description="Commit, tag or branch of a model on the hub.")
    labels: str | None = Field(
        None, description="Label names by index, e.g. `human,voicemail`, if the model's config has none."
    )
    engine: str = Field(
        "auto",
        description="`torch`, `onnx`, `openvino`, or `auto`: CUDA if available, else an exported engine that passed "
        "its check, else torch.",
    )
    precision: Annotated[str, one_of("fp32", "bf16", "int8")] | None = Field(
        None,
        description="`fp32`, `bf16` or `int8`. Unset: bf16 if the CPU supports it. int8 is used only if set here.",
    )
    cache_dir: Path = Field(
        Path("~/.cache/amd-service").expanduser(), description="Folder for exported engines and their checks."
    )
    threads: int | None = Field(None, ge=1, description="Intra-op threads. Unset: the cores available to the process.")
    min_confidence: float = Field(
        0.7,
        gt=0.5,
        lt=1,
        description="Minimum confidence of a label. Below it a longer window is scored; if that fails, `undecided`.",
    )
    min_confidence_human: float | None = Field(
        None, gt=0.5, lt=1, description="Threshold for `human` alone. Unset: `AMD_MIN_CONFIDENCE`."
    )
    min_confidence_voicemail: float | None = Field(
        None,
        gt=0.5,
        lt=1,
        description="Threshold for `voicemail` alone. Raise it if treating a human as a voicemail costs more.",
    )
    golden: Annotated[str, one_of("enforce", "warn")] = Field(
        "enforce",
        description="`enforce`: the classifier is not ready while golden clips contradict the label order. `warn`: it "
        "only warns.",
    )
    golden_dir: Path | None = Field(
        None, description="Your golden clips: folders `human/` and `voicemail/` with at least 5 mono recordings each."
    )
    window_anchor: Anchor = Field(Anchor.AUTO, description="Start of the window: `auto`, `answer` or `onset`.")
    window_ms: int = Field(
        2000, ge=1000, le=10_000, description="Length of the first window; 2 s suits the production model."
    )
    long_window_ms: int = Field(
        5000, ge=1000, le=15_000, description="Length of the second window, used after an unsure first one."
    )
    inference_queue: int = Field(
        32,
        ge=1,
        description="Maximum number of windows waiting for the model, and of concurrent requests to `/predict` and to "
        "`/predict-stream`. More get a 429.",
    )

    @field_validator("cache_dir", "golden_dir")
    @classmethod
    def _expand_home(cls, value: Path | None) -> Path | None:
        return value and value.expanduser()
