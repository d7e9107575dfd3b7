"""Detectors with a stub engine, and recordings."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from amd_service.detection.classifier.engine_check import EngineCheck
from amd_service.detection.classifier.engines.engine import ChosenEngine
from amd_service.detection.classifier.inference import Classifier
from amd_service.detection.classifier.labels import LabelOrder
from amd_service.detection.classifier.model_windows import NO_WINDOWS, ModelWindows
from amd_service.detection.detector import Detector
from amd_service.detection.label_check import GoldenClips
from amd_service.domain import Label
from amd_service.settings import Settings
from amd_service.telemetry import Metrics
from tests.support.models import HUMAN_FIRST, StubEngine, model_files
from tests.support.signals import CLIPS, RATE_HZ, Array, file_of, read_clip, silence

NO_CLIPS = GoldenClips(Path("/nowhere"), own=False, enforce=True)


@asynccontextmanager
async def started(
    engine: StubEngine,
    *,
    golden: GoldenClips = NO_CLIPS,
    labels: LabelOrder = HUMAN_FIRST,
    check: EngineCheck | None = None,
    metrics: Metrics | None = None,
    windows: ModelWindows = NO_WINDOWS,
    **settings: object,
) -> AsyncIterator[Detector]:
    configured = Settings.model_validate({"model": "stub/stub", **settings})
    metrics = metrics or Metrics()
    classifier = Classifier(
        configured,
        metrics,
        open_files=lambda _: model_files(labels=labels, windows=windows),
        open_engine=lambda *_: ChosenEngine(engine, "a stub", check),
    )
    async with Detector(classifier, configured, golden=golden, metrics=metrics) as detector:
        yield detector


@asynccontextmanager
async def ready(engine: StubEngine, **options: object) -> AsyncIterator[Detector]:
    """A detector after its warm-up, with `engine.calls` cleared."""
    async with started(engine, **options) as detector:  # type: ignore[arg-type]  # passed on as they are
        await detector.wait_ready_or_raise()
        engine.calls.clear()
        yield detector


def speech(seconds: float, *, after_s: float = 0.0) -> Array:
    """Return `after_s` seconds of silence, then `seconds` seconds of speech that starts without a pause."""
    clip = np.concatenate([_trimmed(read_clip(path)) for path in CLIPS])
    assert len(clip) >= seconds * RATE_HZ
    return np.concatenate([silence(after_s), clip[: int(seconds * RATE_HZ)]])


def _trimmed(samples: Array) -> Array:
    loud = np.flatnonzero(np.abs(samples) > 0.05)
    return samples[loud[0] : loud[-1]]


def lay_out_clips(folder: Path, clips: Iterable[tuple[Label, Array]]) -> Path:
    for number, (label, samples) in enumerate(clips):
        path = folder / label / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file_of(samples))
    return folder
