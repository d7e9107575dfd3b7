"""Measures a written model on the recordings that were held out, with the code of `amd-service evaluate`."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from amd_service.lab.evaluation.measurement import Question
from amd_service.lab.evaluation.run_evaluation import Evaluation, evaluate_files
from amd_service.lab.training.training_data import TrainingData
from amd_service.settings import Settings


def measure_held_out(
    folder: Path, data: TrainingData, settings: Settings, *, judged: Callable[[], None] = lambda: None
) -> Evaluation:
    """Judge the validation and the test part. The figures of each part are in the groups of the column `split`.

    The engine is torch, because a new model has no exported engine yet. Raises ModelUnusable or DatasetUnusable.
    """
    files = [*data.validation, *data.test]
    own = settings.with_model(str(folder)).model_copy(update={"golden": "warn", "engine": "torch", "precision": None})
    question = replace(Question.about(files), by=("split",))
    return asyncio.run(evaluate_files(files, question, own, data="held-out recordings", judged=judged))
