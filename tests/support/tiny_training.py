"""Trains a very small network on the golden clips, which takes about a second."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from amd_service.detection.decision import Policy
from amd_service.detection.label_check import SHIPPED_CLIPS
from amd_service.lab.training.fine_tuning import fine_tune
from amd_service.lab.training.fitting import FitOptions
from amd_service.lab.training.progress import TrainingProgress
from amd_service.lab.training.training_options import Trained, TrainingOptions
from amd_service.settings import Settings

QUICK = FitOptions(epochs=1, batch_size=4, learning_rate=1e-3, device="cpu", precision="fp32")
SETTINGS = Settings.model_validate({"window_ms": 1000, "long_window_ms": 2000, "threads": 1})


def quick_options(start: Path, out: Path, **changes: Any) -> TrainingOptions:
    """Options for one pass over the six golden clips of each label."""
    policy = Policy.from_settings(SETTINGS)
    options = TrainingOptions(
        data=SHIPPED_CLIPS, out=out, model=str(start), policy=policy, augments=False, threads=1, fit=QUICK
    )
    return replace(options, **changes)


def train_quickly(start: Path, out: Path, **changes: Any) -> Trained:
    """Train with `quick_options`."""
    torch.set_num_threads(1)
    return fine_tune(quick_options(start, out, **changes), SETTINGS, TrainingProgress(is_shown=False))
