"""Training batches by step number, drawn while the model trains."""

import random
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from amd_service.lab.shipped_model.network import frame_middles
from amd_service.lab.shipped_model.recipes import Recipe
from amd_service.lab.synthesis.corpus import Corpus
from amd_service.lab.synthesis.examples import MODEL_RATE_HZ, Example, draw_examples
from amd_service.lab.synthesis.render import RATE_HZ
from amd_service.lab.synthesis.voices import Split


@dataclass(frozen=True, slots=True)
class Batch:
    """`inputs`: (windows, samples) normalised, at 16 kHz. `targets`: (windows,) probability of voicemail.

    `sounds`: (windows, frames) class of the sample in the middle of each frame, as position in `SOUNDS`. With
    `paired`, the second half of the batch has the calls of the first half over other telephone lines.
    """

    inputs: Tensor
    targets: Tensor
    sounds: Tensor
    paired: bool = False


class Batches(Dataset[Batch]):
    """The examples of a step depend only on the seed and the step number, so a run can continue at any step."""

    def __init__(self, corpus: Corpus, recipe: Recipe, seed: int, steps: range) -> None:
        self._corpus, self._recipe, self._seed, self._steps = corpus, recipe, seed, steps

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, index: int) -> Batch:
        recipe, step = self._recipe, self._steps[index]
        rng = random.Random(f"{self._seed}/train/{step}")  # noqa: S311 - repeatable, not secret
        seconds = rng.choices(recipe.lengths_s, recipe.shares)[0]
        count = max(2, round(recipe.batch_s / seconds))
        batch = make_batch(self._corpus, Split.TRAIN, recipe, seconds, count, rng)
        return _mix(batch, rng) if rng.random() < recipe.mixup else batch


def make_batch(corpus: Corpus, split: Split, recipe: Recipe, seconds: float, count: int, rng: random.Random) -> Batch:
    """Draw `count` windows of equal length, each normalised separately, as the feature extractor does."""
    paired = recipe.consistency > 0
    lines = 2 if paired else 1
    calls = [draw_examples(corpus, split, seconds, rng, recipe.style, lines=lines) for _ in range(count // lines)]
    drawn: list[Example] = [call[line] for line in range(lines) for call in calls]
    inputs = np.stack([one.samples for one in drawn])
    inputs = (inputs - inputs.mean(axis=1, keepdims=True)) / np.sqrt(inputs.var(axis=1, keepdims=True) + 1e-7)
    middles = frame_middles(inputs.shape[1]) * RATE_HZ // MODEL_RATE_HZ
    sounds = np.stack([one.sounds[middles] for one in drawn])
    return Batch(
        torch.from_numpy(inputs), torch.tensor([one.target for one in drawn]), torch.from_numpy(sounds), paired
    )


def validation_batches(corpus: Corpus, recipe: Recipe, seed: int, count: int) -> list[Batch]:
    """Draw the windows of the validation, in the two lengths that the service uses. Voices of the validation split."""
    found = []
    for index in range(count):
        rng = random.Random(f"{seed}/validation/{index}")  # noqa: S311 - repeatable, not secret
        found.append(make_batch(corpus, Split.VALIDATION, recipe, recipe.windows_ms[index % 2] / 1000, 32, rng))
    return found


def _mix(batch: Batch, rng: random.Random) -> Batch:
    """Blend each window with another window, and the targets in the same proportion (mixup, arXiv 1710.09412)."""
    share = rng.betavariate(0.4, 0.4)
    inputs = share * batch.inputs + (1 - share) * batch.inputs.roll(1, 0)
    targets = share * batch.targets + (1 - share) * batch.targets.roll(1, 0)
    sounds = batch.sounds if share >= 0.5 else batch.sounds.roll(1, 0)  # those of the louder window
    return Batch(inputs / inputs.std(dim=1, keepdim=True).clamp_min(1e-3), targets, sounds, batch.paired)
