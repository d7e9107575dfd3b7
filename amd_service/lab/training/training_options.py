"""The options of a training, and its result."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from amd_service.detection.decision import Policy
from amd_service.lab.evaluation.measurement import Figures
from amd_service.lab.evaluation.run_evaluation import Evaluation
from amd_service.lab.synthesis.voices import Split
from amd_service.lab.training.fitting import Fit, FitOptions
from amd_service.lab.training.reporting import Reporter
from amd_service.lab.training.starting_point import Masking
from amd_service.lab.training.training_data import HeardData


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """Everything that determines a training.

    - `data`, `out`: dataset folder and folder for the model;
    - `model`: hub id, folder or `demo`; `scratch`: a config instead, for random weights;
    - `policy`: the windows and thresholds with which the model will serve;
    - `lora_rank`: rank of low-rank adapters, None to train all weights;
    - `trains_encoder`: also train the convolutions, which are frozen otherwise;
    - `augments`: apply telephone and voice effects; `balances`: weight the loss so that both labels count equally.
    """

    data: Path
    out: Path
    model: str
    policy: Policy
    scratch: Path | None = None
    revision: str | None = None
    stated_labels: str | None = None
    new_head: bool = False
    lora_rank: int | None = None
    trains_encoder: bool = False
    masking: Masking = field(default_factory=Masking)
    augments: bool = True
    balances: bool = True
    threads: int | None = None
    resume: bool = False
    report_to: Reporter | None = None
    fit: FitOptions = field(default_factory=FitOptions)


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished training. `evaluation`: of the finished model on the held-out parts."""

    options: TrainingOptions
    start_id: str
    fit: Fit
    temperature: float
    heard: HeardData
    evaluation: Evaluation

    @property
    def figures(self) -> Mapping[Split, Figures]:
        """The figures of each held-out part."""
        return {Split(name): each for name, each in self.evaluation.model.groups["split"].items()}

    @property
    def arguments(self) -> dict[str, Any]:
        """Every option and the course of the training, as JSON values."""
        options = asdict(self.options)
        return {
            **{name: str(value) if isinstance(value, Path) else value for name, value in options.items()},
            "policy": self.options.policy.as_dict(),
            "course": asdict(self.fit),
        }
