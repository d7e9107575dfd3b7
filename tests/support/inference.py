"""Classifiers with a stub engine."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from amd_service.detection.classifier.engines.engine import ChosenEngine
from amd_service.detection.classifier.inference import Classifier
from amd_service.detection.classifier.model import ModelFiles
from amd_service.detection.classifier.request_queue import Priority
from amd_service.domain import ModelRun
from amd_service.settings import Settings
from amd_service.telemetry import Metrics
from tests.support.models import StubEngine, model_files, window

Loaded = Callable[[], ModelFiles]


def stubbed(
    engine: StubEngine, *, load: Loaded = model_files, metrics: Metrics | None = None, bound: int = 32, **options: Any
) -> Classifier:
    return Classifier(
        Settings(model="stub/stub", inference_queue=bound),
        metrics or Metrics(),
        open_files=lambda _: load(),
        open_engine=lambda *_: ChosenEngine(engine, "a stub"),
        **options,
    )


@asynccontextmanager
async def running(engine: StubEngine, **options: Any) -> AsyncIterator[Classifier]:
    async with stubbed(engine, **options) as classifier:
        await classifier.wait_ready_or_raise()
        yield classifier


@asynccontextmanager
async def busy(engine: StubEngine, classifier: Classifier) -> AsyncIterator[asyncio.Task[ModelRun]]:
    """Block the inference thread with one window until the context ends."""
    engine.hold()
    task = score(classifier, 9.0, Priority.RECORDING)
    await asyncio.to_thread(engine.entered.acquire)
    try:
        yield task
    finally:
        engine.free.set()


def score(
    classifier: Classifier, seconds: float = 2.0, priority: Priority = Priority.INTERACTIVE
) -> asyncio.Task[ModelRun]:
    return asyncio.create_task(classifier.score(window(seconds), priority=priority))


async def let_tasks_run() -> None:
    """Let new tasks run until each task waits for the first time."""
    for _ in range(5):
        await asyncio.sleep(0)
