"""Trains the small demonstration model: `python -m amd_service.lab.train --out FOLDER --seed N`.

The same seed and step count give the same examples in the same order. Weights may differ in the last bits between
machines.
"""

import argparse
import json
import logging
import math
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForSequenceClassification

from amd_service.lab.synthesis.corpus import CACHE, Corpus, load_corpus
from amd_service.lab.synthesis.examples import draw_example
from amd_service.lab.synthesis.voices import Split

log = logging.getLogger(__name__)

_LENGTHS_S = (2.0, 5.0, 1.0, 1.5, 3.0, 4.0)
_LENGTH_SHARES = (0.58, 0.16, 0.05, 0.07, 0.08, 0.06)
_AVERAGE_DECAY = 0.995


@dataclass(frozen=True, slots=True)
class Recipe:
    """Settings of a training run.

    `batch_s`: seconds of audio in a batch, so that batches of any window length cost the same. `validation_batches`:
    number of validation batches, each of 32 windows. `peak_rate`: maximum learning rate, reached after an eighth of the
    steps. `start_from`: folder with the initial weights.
    """

    seed: int
    steps: int
    check_every: int = 200
    batch_s: float = 64.0
    validation_batches: int = 12
    peak_rate: float = 1.5e-3
    start_from: Path | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """`inputs`: (windows, samples) normalised, at 16 kHz. `targets`: (windows,) probability of voicemail."""

    inputs: Tensor
    targets: Tensor


class Batches(Dataset[Batch]):
    """Training batches by step number. The examples of a step depend only on the seed and the step number."""

    def __init__(self, corpus: Corpus, recipe: Recipe) -> None:
        self._corpus, self._recipe = corpus, recipe

    def __len__(self) -> int:
        return self._recipe.steps

    def __getitem__(self, step: int) -> Batch:
        rng = random.Random(f"{self._recipe.seed}/train/{step}")  # noqa: S311 - repeatable, not secret
        seconds = rng.choices(_LENGTHS_S, _LENGTH_SHARES)[0]
        return make_batch(self._corpus, Split.TRAIN, seconds, round(self._recipe.batch_s / seconds), rng)


def make_batch(corpus: Corpus, split: Split, seconds: float, count: int, rng: random.Random) -> Batch:
    """Draw `count` windows of equal length, each normalised separately, as the feature extractor does."""
    drawn = [draw_example(corpus, split, seconds, rng) for _ in range(count)]
    inputs = np.stack([one.samples for one in drawn])
    inputs = (inputs - inputs.mean(axis=1, keepdims=True)) / np.sqrt(inputs.var(axis=1, keepdims=True) + 1e-7)
    return Batch(torch.from_numpy(inputs), torch.tensor([one.target for one in drawn]))


def build_model() -> Wav2Vec2ForSequenceClassification:
    """Build a Wav2Vec2 in the style of XLS-R (layer norm in every convolution, stable layer norm), 200 times smaller.

    The model has three wide convolutions instead of seven, and a frame every 40 ms instead of every 20 ms. So a
    training step costs a tenth of the time. The first convolution starts as a filter bank, because 12 hours of speech
    are too little to learn a filter bank from random weights.
    """
    config = Wav2Vec2Config(
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        conv_bias=True,
        conv_dim=(128, 128, 160),
        conv_kernel=(160, 5, 5),
        conv_stride=(80, 4, 2),
        hidden_size=160,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=640,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=8,
        classifier_proj_size=64,
        hidden_dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
        feat_proj_dropout=0.0,
        final_dropout=0.0,
        layerdrop=0.0,
        apply_spec_augment=False,
        mask_time_prob=0.0,
        id2label={0: "human", 1: "voicemail"},
        label2id={"human": 0, "voicemail": 1},
    )
    model = Wav2Vec2ForSequenceClassification(config)
    first: Any = model.wav2vec2.feature_extractor.conv_layers[0]
    _start_as_filters(first.conv)
    return model


def _start_as_filters(convolution: torch.nn.Conv1d) -> None:
    """Initialise with windowed sines at mel-spaced frequencies of the telephone band, each in four phases.

    The rectified phases of a band add up to its level, which the next layer needs. The layer norm that follows would
    remove the loudness of a frame, so the biases start at random values as a fixed reference level.
    """
    filters, _, taps = convolution.weight.shape
    mel = torch.linspace(_mel(120.0), _mel(3700.0), filters // 4)
    cycles = 700 * (torch.exp(mel / 1127) - 1) / 16_000
    time = torch.arange(taps) - taps / 2
    phases = torch.arange(4) * torch.pi / 2
    waves = torch.cos(2 * torch.pi * cycles[:, None, None] * time + phases[None, :, None]).reshape(filters, taps)
    waves = waves * torch.hann_window(taps)
    with torch.no_grad():
        convolution.weight.copy_((waves / waves.norm(dim=1, keepdim=True) * 1.5)[:, None, :])
        convolution.bias.normal_(std=0.3)  # type: ignore[union-attr]


def _mel(frequency_hz: float) -> float:
    return 1127 * math.log1p(frequency_hz / 700)


def save(model: Any, out: Path) -> None:
    """Write the folder that the service loads: config, weights as safetensors, feature extractor."""
    model.save_pretrained(out, safe_serialization=True)
    # transformers makes the file readable only by its owner, but all users of an installed package must read it.
    (out / "model.safetensors").chmod(0o644)
    Wav2Vec2FeatureExtractor(  # type: ignore[no-untyped-call]
        feature_size=1, sampling_rate=16_000, padding_value=0.0, do_normalize=True, return_attention_mask=True
    ).save_pretrained(out)


def _loss(model: torch.nn.Module, batch: Batch) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(batch.inputs).logits.float()
    targets = torch.stack([1 - batch.targets, batch.targets], dim=1)
    return functional.cross_entropy(logits, targets)


def _validation_loss(model: torch.nn.Module, batches: Sequence[Batch]) -> float:
    model.eval()
    with torch.inference_mode():
        losses = [float(_loss(model, batch)) for batch in batches]
    return sum(losses) / len(losses)


def train(corpus: Corpus, out: Path, recipe: Recipe, *, workers: int = 1) -> Path:
    """Train with `recipe`. Stores the averaged weights with the lowest validation loss in `out`."""
    torch.manual_seed(recipe.seed)
    model = build_model()
    if recipe.start_from is not None:
        model = type(model).from_pretrained(recipe.start_from, config=model.config)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(_AVERAGE_DECAY))  # type: ignore[no-untyped-call]
    held_out = list(_validation_batches(corpus, recipe))
    loader = DataLoader(Batches(corpus, recipe), batch_size=None, num_workers=workers)
    best, running, began = float("inf"), 0.69, time.monotonic()
    for step, loss in enumerate(_steps(model, average, loader, recipe), start=1):
        running = 0.98 * running + 0.02 * loss
        if step % recipe.check_every and step != recipe.steps:
            continue
        held_out_loss = _validation_loss(average, held_out)
        log.info("step %d loss %.3f validation %.3f %.0f s", step, running, held_out_loss, time.monotonic() - began)
        if held_out_loss < best:
            best = held_out_loss
            save(average.module, out)
            kept = {"seed": recipe.seed, "steps": recipe.steps, "kept_step": step, "validation_loss": round(best, 4)}
            (out / "training.json").write_text(json.dumps(kept) + "\n")
    return out


def _steps(model: torch.nn.Module, average: AveragedModel, batches: Iterable[Batch], recipe: Recipe) -> Iterator[float]:
    """Train on each batch and yield its loss."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.peak_rate, betas=(0.9, 0.98), weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.peak_rate, total_steps=recipe.steps, pct_start=0.12
    )
    for batch in batches:
        model.train()
        loss = _loss(model, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        average.update_parameters(model)
        yield float(loss.detach())


def _validation_batches(corpus: Corpus, recipe: Recipe) -> Iterator[Batch]:
    for index in range(recipe.validation_batches):
        rng = random.Random(f"{recipe.seed}/validation/{index}")  # noqa: S311 - repeatable, not secret
        seconds = (2.0, 5.0, 2.0)[index % 3]
        yield make_batch(corpus, Split.VALIDATION, seconds, 32, rng)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Train the small demonstration model on synthesised speech.")
    parser.add_argument("--out", type=Path, required=True, help="folder for the model")
    parser.add_argument("--seed", type=int, default=7, help="seed of weights and windows")
    parser.add_argument("--corpus-seed", type=int, default=7, help="seed of the utterances")
    parser.add_argument("--steps", type=int, default=2200)
    parser.add_argument("--peak-rate", type=float, default=1.5e-3)
    parser.add_argument("--start-from", type=Path, help="folder with the initial weights")
    parser.add_argument("--check-every", type=int, default=100)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the utterances to render")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder for rendered speech")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    corpus = load_corpus(options.corpus_seed, scale=options.scale, cache=options.cache)
    recipe = Recipe(
        seed=options.seed,
        steps=options.steps,
        check_every=options.check_every,
        peak_rate=options.peak_rate,
        start_from=options.start_from,
    )
    train(corpus, options.out, recipe)


if __name__ == "__main__":
    main()
