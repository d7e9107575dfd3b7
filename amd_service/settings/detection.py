"""Settings of the model and of the decision."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, field_validator

from amd_service.domain import Anchor
from amd_service.settings.shapes import one_of

PRODUCTION_MODEL = "jakeBland/wav2vec-vm-finetune"


class DetectionSettings(BaseModel):
    """Which model listens to what, and when it is believed."""

    model: str = Field(
        PRODUCTION_MODEL,
        description="Hub id, folder, or `demo` for the small synthetic-speech model that ships.",
    )
    model_revision: str | None = Field(None, description="Commit, tag or branch of a hub model.")
    labels: str | None = Field(
        None, description="Label names by index where the model's config has none, e.g. `human,voicemail`."
    )
    engine: str = Field(
        "auto",
        description="`torch`, `onnx`, `openvino`, or `auto`: CUDA, else an exported engine that passed its gate, else "
        "torch.",
    )
    precision: Annotated[str, one_of("fp32", "bf16", "int8")] | None = Field(
        None,
        description="`fp32`, `bf16` or `int8`. Unset: bf16 where the CPU has it; int8 only when it is set here.",
    )
    cache_dir: Path = Field(
        Path("~/.cache/amd-service").expanduser(), description="Where exported engines are kept, with their gates."
    )
    threads: int | None = Field(None, ge=1, description="Intra-op threads. Unset: the cores this process may use.")
    min_confidence: float = Field(
        0.7, gt=0.5, lt=1, description="Below it: once more on a longer window, then `undecided`."
    )
    min_confidence_human: float | None = Field(
        None, gt=0.5, lt=1, description="Threshold for `human` alone. Unset: `AMD_MIN_CONFIDENCE`."
    )
    min_confidence_voicemail: float | None = Field(
        None, gt=0.5, lt=1, description="Threshold for `voicemail` alone: a human called voicemail may cost more."
    )
    golden: Annotated[str, one_of("enforce", "warn")] = Field(
        "enforce",
        description="Golden clips that contradict the label order keep the classifier not ready, or only warn.",
    )
    golden_dir: Path | None = Field(
        None, description="Your own golden clips: `human/` and `voicemail/` with at least 5 mono recordings each."
    )
    window_anchor: Anchor = Field(Anchor.AUTO, description="Where the window begins: `auto`, `answer` or `onset`.")
    window_ms: int = Field(
        2000, ge=1000, le=10_000, description="First window; 2 s is what the production model knows."
    )
    long_window_ms: int = Field(5000, ge=1000, le=15_000, description="Second window, used when the first is unsure.")
    inference_queue: int = Field(
        32,
        ge=1,
        description="Windows that may wait for the model; also uploads, and streams, at once. More are answered 429.",
    )

    @field_validator("cache_dir", "golden_dir")
    @classmethod
    def _home(cls, value: Path | None) -> Path | None:
        return value and value.expanduser()
