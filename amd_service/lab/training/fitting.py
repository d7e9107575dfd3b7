"""Trains a classifier with transformers' Trainer: seeds, early stopping, checkpoints, precision, reports.

This module knows nothing about files of recordings: `fit` takes any model and any windows, so that a model can be
trained on recordings and on synthesised speech in the same way.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import EarlyStoppingCallback, EvalPrediction, PrinterCallback, Trainer, TrainerCallback
from transformers import TrainingArguments as TrainerArguments

from amd_service.detection.classifier.exported_engine import has_bf16
from amd_service.errors import ModelUnusable
from amd_service.lab.training.batches import Collator, Windows

METRIC = "balanced_loss"


@dataclass(frozen=True, slots=True)
class FitOptions:
    """Settings of a run.

    - `epochs`: passes over the training windows; `steps` ends the run earlier;
    - `check_every`: steps between two validations, None for one validation per epoch;
    - `patience`: validations without improvement before the training stops;
    - `class_weights`: weight of the loss in the order of the model's outputs;
    - `label_smoothing`: share of the target probability that is spread over both labels;
    - `device`, `precision`: `auto` uses CUDA if there is a GPU, and bf16 if the device multiplies it natively.
    """

    seed: int = 7
    epochs: float = 30.0
    steps: int | None = None
    check_every: int | None = None
    patience: int = 6
    batch_size: int = 16
    accumulation: int = 1
    learning_rate: float = 3e-4
    warmup: float = 0.1
    weight_decay: float = 0.01
    class_weights: tuple[float, float] = (1.0, 1.0)
    label_smoothing: float = 0.06
    device: str = "auto"
    precision: str = "auto"
    max_minutes: float | None = None
    report_to: str | None = None


@dataclass(frozen=True, slots=True)
class Fit:
    """The outcome of a run. The model has the weights of `best_step`, which have the lowest `best_loss`."""

    best_step: int
    best_loss: float
    steps: int
    seconds: float
    device: str
    precision: str
    ended_by: str


def fit(
    model: Any,
    windows: Windows,
    held_out: Windows,
    *,
    collator: Collator,
    options: FitOptions,
    checkpoints: Path,
    resume: bool = False,
    callbacks: Sequence[TrainerCallback] = (),
) -> Fit:
    """Train `model` in place and leave the weights with the lowest balanced loss on `held_out` in it.

    `checkpoints`: folder for the best and the last checkpoint. `resume`: continue from the last checkpoint in it.
    The same seed gives the same weights on the same machine. Raises ModelUnusable if no loss was a finite number.
    """
    limit = TimeLimit(options.max_minutes)
    stopper = EarlyStoppingCallback(early_stopping_patience=options.patience)
    trainer = Trainer(
        model=model,
        args=trainer_arguments(options, checkpoints),
        data_collator=collator,
        train_dataset=windows,
        eval_dataset=held_out,
        compute_loss_func=WeightedLoss(options.class_weights, options.label_smoothing),
        compute_metrics=balanced_loss,
        callbacks=[stopper, limit, *callbacks],
    )
    trainer.remove_callback(PrinterCallback)
    started = time.monotonic()
    trainer.train(resume_from_checkpoint=resume)
    # For bf16, accelerate replaces the forward function of the model. The caller gets the plain model back.
    trainer.accelerator.unwrap_model(trainer.model_wrapped, keep_fp32_wrapper=False)
    ended_by = "time limit" if limit.is_reached else None
    return _outcome(trainer, time.monotonic() - started, ended_by)


def _outcome(trainer: Trainer, seconds: float, ended_by: str | None) -> Fit:
    """Return the outcome of a run. `ended_by`: the reason, None if the Trainer ended it. Raises ModelUnusable."""
    state = trainer.state
    best_loss = state.best_metric
    if best_loss is None or not math.isfinite(best_loss):
        raise ModelUnusable(
            f"the training diverged: its held-out loss is {best_loss}. Lower the learning rate (--learning-rate), "
            f"delete {trainer.args.output_dir}, and start again"
        )
    finished = state.global_step >= state.max_steps
    return Fit(
        best_step=state.best_global_step or state.global_step,
        best_loss=float(best_loss),
        steps=state.global_step,
        seconds=seconds,
        device=trainer.args.device.type,
        precision="bf16" if trainer.args.bf16 else "fp32",
        ended_by=ended_by or ("all steps done" if finished else "no improvement"),
    )


def trainer_arguments(options: FitOptions, checkpoints: Path) -> TrainerArguments:
    """Translate the options into those of transformers' Trainer."""
    use_cuda = options.device != "cpu" and torch.cuda.is_available()
    interval: dict[str, Any] = {"eval_strategy": "epoch", "save_strategy": "epoch"}
    if options.check_every is not None:
        steps = {"eval_steps": options.check_every, "save_steps": options.check_every}
        interval = {"eval_strategy": "steps", "save_strategy": "steps", **steps}
    return TrainerArguments(
        output_dir=str(checkpoints),
        seed=options.seed,
        num_train_epochs=options.epochs,
        max_steps=options.steps or -1,
        per_device_train_batch_size=options.batch_size,
        per_device_eval_batch_size=options.batch_size,
        gradient_accumulation_steps=options.accumulation,
        learning_rate=options.learning_rate,
        warmup_steps=options.warmup,
        weight_decay=options.weight_decay,
        use_cpu=not use_cuda,
        bf16=uses_bf16(options.precision, use_cuda=use_cuda),
        load_best_model_at_end=True,
        metric_for_best_model=METRIC,
        greater_is_better=False,
        save_total_limit=2,
        logging_steps=5,
        logging_nan_inf_filter=False,
        report_to=[options.report_to] if options.report_to else [],
        disable_tqdm=True,
        remove_unused_columns=False,
        label_names=["labels"],
        dataloader_num_workers=4 if use_cuda else 0,
        dataloader_pin_memory=use_cuda,
        **interval,
    )


def uses_bf16(precision: str, *, use_cuda: bool) -> bool:
    """Whether to compute in bfloat16. Emulated bfloat16 is slower than float32, so `auto` needs a native device."""
    if precision != "auto":
        return precision == "bf16"
    return torch.cuda.is_bf16_supported(including_emulation=False) if use_cuda else has_bf16()


@dataclass(frozen=True, slots=True)
class WeightedLoss:
    """Cross entropy between logits and probabilities, weighted by class. A mean over the windows of a step."""

    class_weights: tuple[float, float]
    label_smoothing: float

    def __call__(self, outputs: Any, labels: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
        weight = torch.tensor(self.class_weights, device=labels.device)
        total = functional.cross_entropy(
            outputs.logits.float(), labels, weight=weight, reduction="sum", label_smoothing=self.label_smoothing
        )
        # The Trainer counts both probabilities of each window, over all batches that it accumulates for a step.
        return total / (len(labels) if num_items_in_batch is None else num_items_in_batch / labels.shape[1])


def balanced_loss(prediction: EvalPrediction) -> dict[str, float]:
    """Return the mean over the labels of the mean log loss of their windows, so that a rare label counts as much."""
    logits, targets = np.asarray(prediction.predictions, np.float64), np.asarray(prediction.label_ids)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    by_label = [-log_probabilities[targets[:, index] > 0.5, index] for index in range(targets.shape[1])]
    return {METRIC: float(np.mean([losses.mean() for losses in by_label if len(losses)]))}


class TimeLimit(TrainerCallback):
    """Ends the training after some minutes, with a last validation."""

    def __init__(self, minutes: float | None) -> None:
        self._end = None if minutes is None else time.monotonic() + minutes * 60
        self.is_reached = False

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002 - Trainer's signature
        if self._end is not None and time.monotonic() >= self._end:
            self.is_reached = True
            control.should_evaluate = control.should_save = control.should_training_stop = True
