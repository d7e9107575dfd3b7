"""Runs one engine in a separate process, so that threads and memory of engines do not affect each other."""

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter
from typing import Any

import psutil

from benchmarks.clips import Clip

NAIVE = ("naive", "fp32")

Pair = tuple[str, str]


class EngineProcess:
    """A process with a loaded engine.

    `facts`: load time `load_s` and first run `first_run_s` in seconds, memory `rss_mb` in MB.
    """

    def __init__(self, folder: Path, pair: Pair, threads: int, cache: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve_engine, args=(theirs, folder, pair, threads, cache), daemon=True)
        self._process.start()
        self.facts: dict[str, float] = self._pipe.recv()

    def seconds(self, clip: Clip) -> float:
        """Run one window and return the seconds that it took."""
        self._pipe.send(clip)
        seconds: float = self._pipe.recv()
        return seconds

    def stop(self) -> None:
        self._pipe.send(None)
        self._process.join()


def _serve_engine(pipe: Connection, folder: Path, pair: Pair, threads: int, cache: Path) -> None:
    started = perf_counter()
    score = _run_naive(folder, threads) if pair == NAIVE else _engine(folder, pair, threads, cache)
    loaded = perf_counter()
    from benchmarks.clips import clip

    score(clip(0))
    facts = {
        "load_s": loaded - started,
        "first_run_s": perf_counter() - loaded,
        "rss_mb": psutil.Process().memory_info().rss / 1e6,
    }
    pipe.send(facts)
    while (window := pipe.recv()) is not None:
        started = perf_counter()
        score(window)
        pipe.send(perf_counter() - started)


def _engine(folder: Path, pair: Pair, threads: int, cache: Path) -> Callable[[Clip], object]:
    from amd_service.detection.classifier.engines.engine import open_engine
    from amd_service.detection.classifier.exported_engine import locate_exported_engine
    from amd_service.detection.classifier.model import open_model
    from amd_service.detection.classifier.model_windows import WindowLengths
    from amd_service.settings import Settings

    settings = Settings(model=str(folder), cache_dir=cache)
    files = open_model(settings)
    lengths = WindowLengths.from_settings(settings, files.windows)
    graph = locate_exported_engine(files, *pair, cache).graph
    engine = open_engine(*pair, files, threads, graph, lengths.distinct_ms)
    return lambda clip: engine.logits([clip])


def _run_naive(folder: Path, threads: int) -> Callable[[Clip], object]:
    """Load the model the usual, naive way: from_pretrained, eager, float32, with gradients."""
    import torch
    from transformers import AutoModelForAudioClassification

    torch.set_num_threads(threads)
    model: Any = AutoModelForAudioClassification.from_pretrained(folder)

    def score(clip: Clip) -> object:
        normalised = (clip - clip.mean()) / (clip.var() + 1e-7) ** 0.5
        return model(torch.from_numpy(normalised)[None]).logits

    return score
