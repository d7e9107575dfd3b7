"""The result or the error that a caller gets for a window."""

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from amd_service.detection.classifier.inference import Classifier
from amd_service.detection.classifier.labels import LabelOrder, LabelSource
from amd_service.detection.classifier.request_queue import Priority
from amd_service.detection.classifier.state import Phase
from amd_service.domain import Label
from amd_service.errors import ClassifierUnavailable, ModelFailed
from amd_service.settings import Settings
from amd_service.telemetry import Metrics
from tests.support.inference import busy, let_tasks_run, running, score
from tests.support.models import StubEngine, model_files, window

pytestmark = pytest.mark.anyio


async def test_a_window_gets_scores_position_and_model() -> None:
    engine = StubEngine()
    async with running(engine) as classifier:
        run = await classifier.score(replace(window(1.25), start_ms=700), priority=Priority.INTERACTIVE)
    assert run.scores.human == pytest.approx(np.exp(2) / (np.exp(2) + 1))
    assert run.scores.human + run.scores.voicemail == pytest.approx(1)
    assert (run.window_start_ms, run.window_ms) == (700, 1250)
    assert run.model == classifier.identity


async def test_scores_follow_the_models_label_order() -> None:
    order = LabelOrder((Label.VOICEMAIL, Label.HUMAN), LabelSource.CONFIG)
    async with running(StubEngine(), load=lambda: model_files(labels=order)) as classifier:
        assert (await score(classifier)).scores.voicemail > 0.8


async def test_the_temperature_softens_the_scores() -> None:
    async with running(StubEngine(), load=lambda: model_files(temperature=2.0)) as classifier:
        assert (await score(classifier)).scores.human == pytest.approx(np.exp(1) / (np.exp(1) + 1))


async def test_nan_for_one_window_fails_only_that_window() -> None:
    engine = StubEngine(max_batch=4)
    async with running(engine) as classifier:
        engine.answer = lambda clip: (float("nan"), 0.0) if clip[0] > 100 else (2.0, 0.0)
        loud = replace(window(2.0), samples=window(2.0).samples + 1000)
        async with busy(engine, classifier):
            bad = asyncio.create_task(classifier.score(loud, priority=Priority.INTERACTIVE))
            good = score(classifier)
            await let_tasks_run()
        with pytest.raises(ModelFailed, match="nan"):
            await bad
        assert (await good).scores.human > 0.8
        assert classifier.state.is_ready


async def test_the_model_does_not_block_the_event_loop() -> None:
    engine = StubEngine()
    async with running(engine) as classifier, busy(engine, classifier) as task:
        await let_tasks_run()
        assert not task.done()


async def test_a_result_that_takes_too_long_is_a_timeout() -> None:
    engine = StubEngine()
    async with running(engine, result_timeout_s=0.05) as classifier:
        engine.hold()
        with pytest.raises(ClassifierUnavailable, match=r"no result from the model within 0\.05 s"):
            await score(classifier)
        engine.free.set()


async def test_closing_ends_every_wait() -> None:
    engine = StubEngine()
    async with running(engine) as classifier:
        async with busy(engine, classifier) as running_request:
            queued = score(classifier)
            await let_tasks_run()
            closing = asyncio.create_task(classifier.close())
            with pytest.raises(ClassifierUnavailable, match="shutting down"):
                await queued
        await closing
        assert (await running_request).scores.human > 0.8
        assert classifier.state.phase is Phase.STOPPED


async def test_the_real_model_scores_through_the_thread(pristine: Path) -> None:
    async with Classifier(Settings(model=str(pristine), threads=1), Metrics()) as classifier:
        identity = await classifier.wait_ready_or_raise()
        run = await score(classifier, 1.5)
    assert (identity.engine, identity.precision, run.model) == ("torch", "fp32", identity)
    assert 0 < run.scores.human < 1
