"""After engine errors and crashes no caller waits forever, and the service continues."""

import threading
from dataclasses import replace
from typing import Any

import pytest

from amd_service.detection.classifier.inference import MAX_CRASHES, MAX_ERRORS_IN_A_ROW
from amd_service.detection.classifier.labels import LabelOrder, LabelSource
from amd_service.detection.classifier.model import ModelFiles
from amd_service.detection.classifier.state import Phase
from amd_service.domain import Label
from amd_service.errors import ClassifierUnavailable
from amd_service.telemetry import Metrics
from tests.support.inference import busy, let_tasks_run, running, score
from tests.support.models import StubEngine, model_files, mostly_human

pytestmark = pytest.mark.anyio


def crash(_: object) -> tuple[float, float]:
    raise SystemExit("killed")


OTHER_ORDER = LabelOrder((Label.VOICEMAIL, Label.HUMAN), LabelSource.CONFIG)


async def test_the_caller_gets_an_engine_error_and_the_thread_continues() -> None:
    def fail(_: object) -> tuple[float, float]:
        raise RuntimeError("out of memory")

    engine = StubEngine()
    metrics = Metrics()
    async with running(engine, metrics=metrics) as classifier:
        engine.answer = fail
        with pytest.raises(RuntimeError, match="out of memory"):
            await score(classifier)
        engine.answer = mostly_human
        assert (await score(classifier)).scores.human > 0.8
    assert metrics.registry.get_sample_value("amd_inference_restarts_total") == 0


async def test_an_engine_that_fails_on_every_window_is_reloaded() -> None:
    def fail(_: object) -> tuple[float, float]:
        raise RuntimeError("the device is lost")

    engine, metrics = StubEngine(), Metrics()
    loads: list[None] = []

    def load() -> ModelFiles:
        loads.append(None)
        engine.answer = mostly_human
        return model_files()

    async with running(engine, load=load, metrics=metrics) as classifier:
        engine.answer = fail
        for _ in range(MAX_ERRORS_IN_A_ROW - 1):
            with pytest.raises(RuntimeError, match="the device is lost"):
                await score(classifier)
        assert len(loads) == 1
        with pytest.raises(ClassifierUnavailable, match=r"failed 5 times in a row.*the device is lost"):
            await score(classifier)
        await classifier.wait_for(lambda _: len(loads) == 2)
        await classifier.wait_ready_or_raise()
        assert (await score(classifier)).scores.human > 0.8
    assert metrics.registry.get_sample_value("amd_inference_restarts_total") == 1


async def test_after_a_crash_every_wait_ends_and_a_new_thread_serves() -> None:
    engine, metrics = StubEngine(), Metrics()
    reload = threading.Event()
    loads: list[None] = []

    def load() -> ModelFiles:
        loads.append(None)
        if len(loads) > 1:
            reload.wait(20)
        return model_files()

    async with running(engine, load=load, metrics=metrics) as classifier:
        async with busy(engine, classifier) as running_request:
            queued = score(classifier)
            await let_tasks_run()
            engine.answer = crash
        for task in (running_request, queued):
            with pytest.raises(ClassifierUnavailable):
                await task
        await classifier.wait_for(lambda state: state.phase is Phase.LOADING)
        assert metrics.registry.get_sample_value("amd_classifier_ready") == 0
        engine.answer = mostly_human
        reload.set()
        await classifier.wait_ready_or_raise()
        assert (await score(classifier)).scores.human > 0.8
    assert metrics.registry.get_sample_value("amd_inference_restarts_total") == 1


async def test_a_thread_that_keeps_crashing_is_not_restarted() -> None:
    engine = StubEngine()
    async with running(engine) as classifier:
        engine.answer = crash  # the next warm-up crashes too
        with pytest.raises(ClassifierUnavailable):
            await score(classifier)
        state = await classifier.wait_for(lambda state: state.phase is Phase.FAILED)
        assert f"crashed {MAX_CRASHES} times in a row" in state.reason
        with pytest.raises(ClassifierUnavailable, match="AMD_MODEL=demo"):
            await score(classifier)


@pytest.mark.parametrize(
    "change", [{"weights_sha256": "1" * 64}, {"labels": OTHER_ORDER}, {"temperature": 2.0}, {"normalise": False}]
)
async def test_a_model_that_changed_in_use_is_not_reloaded(change: dict[str, Any]) -> None:
    engine = StubEngine()
    loads = iter((model_files(), replace(model_files(), **change)))
    async with running(engine, load=lambda: next(loads)) as classifier:
        engine.answer = crash
        with pytest.raises(ClassifierUnavailable):
            await score(classifier)
        state = await classifier.wait_for(lambda state: state.phase is Phase.FAILED)
        assert "has changed since the model was loaded" in state.reason
