"""The owned thread: what it promises to callers, whatever happens to it."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from amd_service.classifier.engines.engine import ChosenEngine
from amd_service.classifier.inference import MOST_DEATHS, MOST_MISHAPS, Classifier, Phase, Priority
from amd_service.classifier.labels import LabelOrder, LabelSource
from amd_service.classifier.model import ModelFiles
from amd_service.classifier.waiting_line import WaitingLine
from amd_service.domain import Label, ModelRun
from amd_service.errors import ClassifierUnavailable, ModelFailed, ModelUnusable, QueueFull
from amd_service.settings import Settings
from amd_service.telemetry import Metrics
from tests.classifier.models import StubEngine, model_files, mostly_human, window

pytestmark = pytest.mark.anyio

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
        await classifier.wait_ready()
        yield classifier


@asynccontextmanager
async def busy(engine: StubEngine, classifier: Classifier) -> AsyncIterator[asyncio.Task[ModelRun]]:
    """The thread is in the middle of a window until the block ends."""
    while engine.entered.acquire(blocking=False):
        pass
    engine.free.clear()
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


async def turn() -> None:
    """Let the tasks just made run up to their first wait."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_window_gets_its_run() -> None:
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


async def test_the_model_is_warm_before_it_is_ready_and_stays_on_its_thread() -> None:
    engine = StubEngine()
    async with running(engine) as classifier:
        assert engine.calls == [[2.0], [5.0]]
        await score(classifier)
    assert engine.threads == {"inference"}


async def test_loading_does_not_hold_up_the_event_loop() -> None:
    reached, go_on = threading.Event(), threading.Event()

    def slow() -> ModelFiles:
        reached.set()
        go_on.wait(20)
        return model_files()

    async with stubbed(StubEngine(), load=slow) as classifier:
        await asyncio.to_thread(reached.wait)
        assert classifier.state.phase is Phase.LOADING
        assert classifier.identity is None
        with pytest.raises(ClassifierUnavailable, match="loading the model"):
            await score(classifier)
        go_on.set()
        await classifier.wait_ready()
        assert classifier.ready


async def test_the_event_loop_runs_on_while_the_model_does() -> None:
    engine = StubEngine()
    async with running(engine) as classifier, busy(engine, classifier) as task:
        started = perf_counter()
        await turn()
        assert perf_counter() - started < 1
        assert not task.done()


async def test_a_caller_on_the_line_goes_before_recordings() -> None:
    engine = StubEngine()
    async with running(engine) as classifier:
        async with busy(engine, classifier) as first:
            waiting = [score(classifier, 3.0, Priority.RECORDING), score(classifier, 4.0, Priority.RECORDING)]
            await turn()
            waiting.append(score(classifier, 1.0, Priority.INTERACTIVE))
            await turn()
        await asyncio.gather(first, *waiting)
    assert engine.calls[2:] == [[9.0], [1.0], [3.0], [4.0]]


async def test_beyond_the_bound_callers_are_refused_at_once() -> None:
    engine = StubEngine()
    async with running(engine, bound=1) as classifier, busy(engine, classifier):
        accepted = score(classifier)
        await turn()
        with pytest.raises(QueueFull) as refused:
            await score(classifier)
        assert refused.value.retry_after_s is not None
        assert not accepted.done()
    await asyncio.wait([accepted])


async def test_a_caller_who_leaves_costs_no_run_and_no_place() -> None:
    engine = StubEngine()
    async with running(engine, bound=1) as classifier:
        async with busy(engine, classifier) as first:
            left = score(classifier, 3.0)
            await turn()
            left.cancel()
            await turn()
            stays = score(classifier, 4.0)
            await turn()
        await asyncio.gather(first, stays)
    assert left.cancelled()
    assert engine.calls[2:] == [[9.0], [4.0]]


async def test_a_caller_who_leaves_as_its_turn_comes_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WaitingLine, "leave", lambda *_: None)  # too late: the thread has the ticket already
    engine = StubEngine()
    async with running(engine) as classifier:
        async with busy(engine, classifier) as first:
            left = score(classifier, 3.0)
            await turn()
            left.cancel()
            await turn()
            stays = score(classifier, 4.0)
            await turn()
        await asyncio.gather(first, stays)
    assert engine.calls[2:] == [[9.0], [4.0]]


async def test_equal_windows_share_a_run_where_the_engine_takes_batches() -> None:
    engine = StubEngine(max_batch=4)
    async with running(engine) as classifier:
        async with busy(engine, classifier) as first:
            waiting = [score(classifier, seconds) for seconds in (2.0, 3.0, 2.0)]
            await turn()
        await asyncio.gather(first, *waiting)
    assert engine.calls[2:] == [[9.0], [2.0, 2.0], [3.0]]


async def test_a_window_without_an_answer_fails_alone() -> None:
    engine = StubEngine(max_batch=4)
    async with running(engine) as classifier:
        engine.answer = lambda clip: (float("nan"), 0.0) if clip[0] > 100 else (2.0, 0.0)
        loud = replace(window(2.0), samples=window(2.0).samples + 1000)
        async with busy(engine, classifier):
            bad = asyncio.create_task(classifier.score(loud, priority=Priority.INTERACTIVE))
            good = score(classifier)
            await turn()
        with pytest.raises(ModelFailed, match="nan"):
            await bad
        assert (await good).scores.human > 0.8
        assert classifier.ready


async def test_an_engines_error_reaches_the_caller_and_the_thread_goes_on() -> None:
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


async def test_an_engine_that_fails_on_every_window_is_loaded_again() -> None:
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
        for _ in range(MOST_MISHAPS - 1):
            with pytest.raises(RuntimeError, match="the device is lost"):
                await score(classifier)
        assert len(loads) == 1
        with pytest.raises(ClassifierUnavailable, match=r"failed 5 times in a row.*the device is lost"):
            await score(classifier)
        await classifier.until(lambda _: len(loads) == 2)
        await classifier.wait_ready()
        assert (await score(classifier)).scores.human > 0.8
    assert metrics.registry.get_sample_value("amd_inference_restarts_total") == 1


def die(_: object) -> tuple[float, float]:
    raise SystemExit("killed")


async def test_when_the_thread_dies_every_wait_ends_and_a_new_thread_serves() -> None:
    engine, metrics = StubEngine(), Metrics()
    reload = threading.Event()
    loads: list[None] = []

    def load() -> ModelFiles:
        loads.append(None)
        if len(loads) > 1:
            reload.wait(20)
        return model_files()

    async with running(engine, load=load, metrics=metrics) as classifier:
        async with busy(engine, classifier) as in_hand:
            in_line = score(classifier)
            await turn()
            engine.answer = die
        for task in (in_hand, in_line):
            with pytest.raises(ClassifierUnavailable):
                await task
        await classifier.until(lambda state: state.phase is Phase.LOADING)
        assert metrics.registry.get_sample_value("amd_classifier_ready") == 0
        engine.answer = mostly_human
        reload.set()
        await classifier.wait_ready()
        assert (await score(classifier)).scores.human > 0.8
    assert metrics.registry.get_sample_value("amd_inference_restarts_total") == 1


async def test_a_thread_that_only_dies_stays_down_and_says_so() -> None:
    engine = StubEngine()
    async with running(engine) as classifier:
        engine.answer = die  # from now on already the warm-up kills it
        with pytest.raises(ClassifierUnavailable):
            await score(classifier)
        state = await classifier.until(lambda state: state.phase is Phase.FAILED)
        assert f"died {MOST_DEATHS} times in a row" in state.reason
        with pytest.raises(ClassifierUnavailable, match="AMD_MODEL=demo"):
            await score(classifier)


OTHER_ORDER = LabelOrder((Label.VOICEMAIL, Label.HUMAN), LabelSource.CONFIG)


@pytest.mark.parametrize(
    "change", [{"weights_sha256": "1" * 64}, {"labels": OTHER_ORDER}, {"temperature": 2.0}, {"normalise": False}]
)
async def test_a_model_that_changed_under_the_service_is_not_taken_up_again(change: dict[str, Any]) -> None:
    engine = StubEngine()
    loads = iter((model_files(), replace(model_files(), **change)))
    async with running(engine, load=lambda: next(loads)) as classifier:
        engine.answer = die
        with pytest.raises(ClassifierUnavailable):
            await score(classifier)
        state = await classifier.until(lambda state: state.phase is Phase.FAILED)
        assert "has changed while it was in use" in state.reason


async def test_closing_ends_every_wait() -> None:
    engine = StubEngine()
    async with running(engine) as classifier:
        async with busy(engine, classifier) as in_hand:
            in_line = score(classifier)
            await turn()
            closing = asyncio.create_task(classifier.close())
            with pytest.raises(ClassifierUnavailable, match="shutting down"):
                await in_line
        await closing
        assert (await in_hand).scores.human > 0.8
        assert classifier.state.phase is Phase.STOPPED


async def test_nobody_waits_for_ever() -> None:
    engine = StubEngine()
    async with running(engine, patience_s=0.05) as classifier, busy(engine, classifier) as task:
        with pytest.raises(ClassifierUnavailable, match=r"no result from the model within 0\.05 s"):
            await task


async def test_an_unusable_model_leaves_the_cure_in_the_state() -> None:
    def unusable() -> ModelFiles:
        raise ModelUnusable("no weights here: set AMD_MODEL=demo")

    async with stubbed(StubEngine(), load=unusable) as classifier:
        with pytest.raises(ModelUnusable, match="AMD_MODEL=demo"):
            await classifier.wait_ready()
        assert classifier.state.phase is Phase.FAILED
        with pytest.raises(ClassifierUnavailable, match="AMD_MODEL=demo"):
            await score(classifier)


async def test_a_model_of_nan_never_becomes_ready() -> None:
    engine = StubEngine(lambda _: (float("nan"), float("nan")))
    async with stubbed(engine) as classifier:
        with pytest.raises(ModelUnusable, match=r"weights are damaged.*model pull"):
            await classifier.wait_ready()


async def test_a_hub_that_is_away_is_asked_again() -> None:
    answers = iter([ClassifierUnavailable("the hub does not answer"), None])

    def load() -> ModelFiles:
        if (error := next(answers)) is not None:
            raise error
        return model_files()

    async with stubbed(StubEngine(), load=load, hub_retry_s=0.01) as classifier:
        await classifier.until(lambda state: state.ready)
        assert classifier.ready


async def test_the_real_model_scores_through_the_thread(pristine: Path) -> None:
    async with Classifier(Settings(model=str(pristine), threads=1), Metrics()) as classifier:
        identity = await classifier.wait_ready()
        run = await score(classifier, 1.5)
    assert (identity.engine, identity.precision, run.model) == ("torch", "fp32", identity)
    assert 0 < run.scores.human < 1


async def test_a_real_model_of_nan_ends_in_one_line(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["classifier.bias"] = torch.full((2,), float("nan"))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    async with Classifier(Settings(model=str(folder), threads=1), Metrics()) as classifier:
        with pytest.raises(ModelUnusable, match="weights are damaged"):
            await classifier.wait_ready()
        assert "\n" not in classifier.state.reason
