"""The training loop: seeded, limited in time, and able to continue after it was killed.

The loop is separate from `lab/training`, because the examples are drawn without end instead of read, and because the
weights are averaged (docs/decisions/0033-training-the-shipped-model.md).
"""

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader
from transformers import set_seed

from amd_service.detection.classifier.exported_engine import has_bf16
from amd_service.lab.shipped_model.drawing import Batch, Batches, validation_batches
from amd_service.lab.shipped_model.network import build_model, save
from amd_service.lab.shipped_model.recipes import Recipe
from amd_service.lab.synthesis.call_starts import SOUNDS
from amd_service.lab.synthesis.corpus import Corpus

log = logging.getLogger(__name__)

_AVERAGE_DECAY = 0.995
_TEMPERATURES = torch.logspace(-0.3, 0.7, 41)
_CHECKPOINT = "checkpoint.pt"
_STORED = ("model", "sounds", "average", "optimizer", "schedule")


@dataclass(frozen=True, slots=True)
class Run:
    """One training.

    `limit_s`: seconds of training, over all continuations, after which the run ends early. `start`: folder of a model
    of the same size whose weights are trained further. None: random weights.
    """

    recipe: Recipe
    seed: int
    steps: int
    limit_s: float = float("inf")
    check_every: int = 100
    validation_count: int = 12
    workers: int = 1
    teachers: tuple[Path, ...] = ()
    start: Path | None = None


@dataclass
class _State:
    """All that a continuation needs. The batches need only the step number.

    `sounds`: linear layer that classifies each frame, from the last hidden states. Only the training uses it.
    """

    model: Any
    sounds: torch.nn.Linear
    average: AveragedModel
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    step: int = 0
    spent_s: float = 0.0
    best: float = float("inf")
    running: float = 0.69


def train(corpus: Corpus, out: Path, run: Run) -> dict[str, float | int]:
    """Train, and leave the averaged weights with the lowest validation loss in `out`. Returns what `training.json` has.

    The validation loss is the one at the best temperature. If `out` has a checkpoint of an interrupted run, the
    training continues there. A finished run returns at once.
    """
    out.mkdir(parents=True, exist_ok=True)
    finished = out / "training.json"
    if finished.exists():
        return dict(json.loads(finished.read_text()))
    set_seed(run.seed)
    state = _open(run, out / _CHECKPOINT)
    held_out = validation_batches(corpus, run.recipe, run.seed, run.validation_count)
    teachers: list[Any] = [build_model(run.recipe).from_pretrained(folder) for folder in run.teachers]
    for teacher in teachers:
        teacher.eval()
    _continue(state, corpus, run, held_out, out, teachers)
    kept = {"seed": run.seed, "steps": state.step, "planned_steps": run.steps, "seconds": round(state.spent_s),
            "training_loss": round(state.running, 4), "validation_loss": round(state.best, 4)}  # fmt: skip
    finished.write_text(json.dumps(kept) + "\n")
    (out / _CHECKPOINT).unlink(missing_ok=True)
    return kept


def train_with_teachers(corpus: Corpus, out: Path, run: Run) -> None:
    """Train the teachers of the recipe, each with another seed and for the same number of steps, then the model."""
    teachers = []
    for number in range(run.recipe.teachers):
        folder = out / f"teacher-{number}"
        train(corpus, folder, replace(run, recipe=replace(run.recipe, teachers=0), seed=run.seed + 100 + number))
        teachers.append(folder)
    train(corpus, out, replace(run, teachers=tuple(teachers)))


def _open(run: Run, checkpoint: Path) -> _State:
    model = build_model(run.recipe)
    if run.start is not None:
        model.load_state_dict(load_file(run.start / "model.safetensors"))
    sounds = torch.nn.Linear(run.recipe.width, len(SOUNDS))
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(_AVERAGE_DECAY))  # type: ignore[no-untyped-call]
    optimizer = torch.optim.AdamW(
        [*model.parameters(), *sounds.parameters()], lr=run.recipe.peak_rate, betas=(0.9, 0.98), weight_decay=0.02
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, run.recipe.peak_rate, total_steps=run.steps + 1, pct_start=0.12
    )
    state = _State(model, sounds, average, optimizer, schedule)
    if checkpoint.exists():
        stored = torch.load(checkpoint, weights_only=True)
        for name in _STORED:
            getattr(state, name).load_state_dict(stored[name])
        state.step, state.spent_s, state.best, state.running = stored["progress"]
        log.info("continue at step %d", state.step)
    return state


def _store(state: _State, checkpoint: Path) -> None:
    """Replace the checkpoint in one step, so that a killed process leaves the previous one."""
    partial = checkpoint.with_suffix(".partial")
    stored: dict[str, Any] = {name: getattr(state, name).state_dict() for name in _STORED}
    stored["progress"] = [state.step, state.spent_s, state.best, state.running]
    torch.save(stored, partial)
    partial.replace(checkpoint)


def _continue(
    state: _State, corpus: Corpus, run: Run, held_out: Sequence[Batch], out: Path, teachers: Sequence[Any]
) -> None:
    loader = DataLoader(
        Batches(corpus, run.recipe, run.seed, range(state.step, run.steps)), batch_size=None, num_workers=run.workers
    )
    began = time.monotonic() - state.spent_s
    for batch in loader:
        # Dropout (torch) and time masks (numpy) depend on the step alone, so that a continued run repeats them.
        set_seed(run.seed * 1_000_003 + state.step)
        _step(state, batch, run.recipe, teachers)
        state.spent_s = time.monotonic() - began
        is_over = state.step == run.steps or state.spent_s > run.limit_s
        if state.step % run.check_every == 0 or is_over:
            _check(state, held_out, out)
            state.spent_s = time.monotonic() - began
            _store(state, out / _CHECKPOINT)
        if is_over:
            break


def _step(state: _State, batch: Batch, recipe: Recipe, teachers: Sequence[Any]) -> None:
    state.model.train()
    labels, others = _losses(state, batch, recipe, teachers)
    (labels + others).backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(state.model.parameters(), 1.0)
    state.optimizer.step()
    state.schedule.step()
    state.optimizer.zero_grad()
    state.average.update_parameters(state.model)
    state.step += 1
    state.running = 0.98 * state.running + 0.02 * float(labels.detach())


def _check(state: _State, held_out: Sequence[Batch], out: Path) -> None:
    state.average.eval()
    with torch.inference_mode():
        logits = torch.cat([_logits(state.average, batch) for batch in held_out])
    targets = torch.cat([_both(batch) for batch in held_out])
    # The temperature is fitted after the training, so overconfidence must not decide which weights are kept.
    found = min(float(functional.cross_entropy(logits / each, targets)) for each in _TEMPERATURES)
    log.info("step %d loss %.3f validation %.3f %.0f s", state.step, state.running, found, state.spent_s)
    if found < state.best:
        state.best = found
        save(state.average.module, out)


def _losses(state: _State, batch: Batch, recipe: Recipe, teachers: Sequence[Any]) -> tuple[Tensor, Tensor]:
    """Return the loss of the labels, and the weighted sum of the recipe's other losses."""
    with _autocast():
        found = state.model(batch.inputs, output_hidden_states=recipe.sounds > 0)
    logits, targets, others = found.logits.float(), _both(batch), torch.zeros(())
    if teachers:
        with torch.inference_mode():
            taught = torch.stack([_logits(teacher, batch).softmax(dim=1) for teacher in teachers]).mean(dim=0)
        targets = (targets + taught.clone()) / 2
    if recipe.sounds:
        sounds = state.sounds(found.hidden_states[-1].float())
        others = others + recipe.sounds * functional.cross_entropy(sounds.transpose(1, 2), batch.sounds)
    if batch.paired:
        first, second = logits.log_softmax(dim=1).chunk(2)
        kl: Callable[..., Tensor] = functional.kl_div
        difference = kl(first, second, log_target=True, reduction="batchmean") + kl(
            second, first, log_target=True, reduction="batchmean"
        )
        others = others + recipe.consistency * difference / 2
    return functional.cross_entropy(logits, targets), others


def _both(batch: Batch) -> Tensor:
    return torch.stack([1 - batch.targets, batch.targets], dim=1)


def _logits(model: Any, batch: Batch) -> Tensor:
    with _autocast():
        return model(batch.inputs).logits.float()  # type: ignore[no-any-return]


def _autocast() -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16, enabled=has_bf16())
