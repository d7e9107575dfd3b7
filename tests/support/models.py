"""Model folders with a very small, untrained Wav2Vec2, and a stub engine."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForSequenceClassification

from amd_service.detection.classifier.labels import LabelOrder, LabelSource
from amd_service.detection.classifier.model import ModelFiles
from amd_service.detection.classifier.model_windows import NO_WINDOWS, ModelWindows
from amd_service.domain import Label, Window

RATE_HZ = 16_000
HUMAN_FIRST = LabelOrder((Label.HUMAN, Label.VOICEMAIL), LabelSource.CONFIG)


def build_model(folder: Path, *, names: Sequence[str] = ("human", "voicemail"), do_normalize: bool = True) -> Path:
    """Save a very small random classifier in the format of transformers' Trainer."""
    torch.manual_seed(0)
    config = Wav2Vec2Config(
        vocab_size=32,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        conv_dim=(16,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        classifier_proj_size=16,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        conv_bias=True,
        id2label=dict(enumerate(names)),
        label2id={name: index for index, name in enumerate(names)},
    )
    model: Any = Wav2Vec2ForSequenceClassification(config)
    with torch.no_grad():
        model.classifier.weight.mul_(20)  # otherwise an untrained head returns 0.5 for every window
    model.save_pretrained(folder)
    untyped: Any = Wav2Vec2FeatureExtractor
    untyped(do_normalize=do_normalize, return_attention_mask=True).save_pretrained(folder)
    return folder


def noise(seconds: float, seed: int = 1) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0.01, 0.2, int(seconds * RATE_HZ)).astype(np.float32)


def window(seconds: float = 2.0, seed: int = 1) -> Window:
    return Window(noise(seconds, seed), start_ms=0, onset_ms=0)


def model_files(
    folder: Path = Path("folder"),
    *,
    temperature: float = 1.0,
    labels: LabelOrder = HUMAN_FIRST,
    windows: ModelWindows = NO_WINDOWS,
) -> ModelFiles:
    return ModelFiles(
        id="stub",
        folder=folder,
        revision=None,
        weights=(),
        weights_sha256="0" * 64,
        config_sha256="0" * 64,
        labels=labels,
        normalise=True,
        temperature=temperature,
        windows=windows,
    )


Answer = Callable[[NDArray[np.float32]], tuple[float, float]]


def mostly_human(_clip: NDArray[np.float32]) -> tuple[float, float]:
    return 2.0, 0.0


class StubEngine:
    """Computes logits with a function. `hold` blocks the engine, so that a test can inspect the queue."""

    name = "stub"
    precision = "fp32"

    def __init__(self, answer: Answer = mostly_human, *, max_batch: int = 1) -> None:
        self.answer = answer
        self.max_batch = max_batch
        self.calls: list[list[float]] = []
        self.threads: set[str] = set()
        self.entered = threading.Semaphore(0)
        self.free = threading.Event()
        self.free.set()

    def hold(self) -> None:
        """Block the next call of `logits` until `free` is set. Each call releases `entered` when the call begins."""
        while self.entered.acquire(blocking=False):
            continue
        self.free.clear()

    def logits(self, clips: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        self.calls.append([len(clip) / RATE_HZ for clip in clips])
        self.threads.add(threading.current_thread().name)
        self.entered.release()
        self.free.wait(20)
        return np.array([self.answer(clip) for clip in clips], dtype=np.float32)
