"""Loading and warm-up of the model, and their errors."""

import asyncio
import errno
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from structlog.testing import capture_logs

from amd_service.detection.classifier.inference import Classifier
from amd_service.detection.classifier.model import ModelFiles
from amd_service.detection.classifier.model_windows import ModelWindows
from amd_service.detection.classifier.state import Phase
from amd_service.errors import ClassifierUnavailable, ModelUnusable
from amd_service.settings import Settings
from amd_service.telemetry import Metrics
from tests.support.inference import busy, running, score, stubbed
from tests.support.models import StubEngine, model_files
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


async def test_loading_does_not_block_the_event_loop() -> None:
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
        await classifier.wait_ready_or_raise()
        assert classifier.state.is_ready


async def test_the_model_is_warmed_up_before_ready_and_runs_on_one_thread() -> None:
    engine = StubEngine()
    async with running(engine) as classifier:
        assert engine.calls == [[2.0], [5.0]]
        await score(classifier)
    assert engine.threads == {"inference"}


async def test_the_model_is_warmed_up_with_the_windows_that_its_folder_states() -> None:
    engine = StubEngine()
    stated = ModelWindows(window_ms=8000, long_window_ms=8000, live_window_ms=2000)
    async with running(engine, load=lambda: model_files(windows=stated)):
        assert engine.calls == [[8.0], [2.0]]


async def test_the_state_of_an_unusable_model_names_the_cure() -> None:
    def unusable() -> ModelFiles:
        raise ModelUnusable("no weights here: set AMD_MODEL=demo")

    async with stubbed(StubEngine(), load=unusable) as classifier:
        with pytest.raises(ModelUnusable, match="AMD_MODEL=demo"):
            await classifier.wait_ready_or_raise()
        assert classifier.state.phase is Phase.FAILED
        with pytest.raises(ClassifierUnavailable, match="AMD_MODEL=demo"):
            await score(classifier)


async def test_a_model_that_returns_nan_never_becomes_ready() -> None:
    engine = StubEngine(lambda _: (float("nan"), float("nan")))
    async with stubbed(engine) as classifier:
        with pytest.raises(ModelUnusable, match=r"weights are damaged.*model pull"):
            await classifier.wait_ready_or_raise()


async def test_real_weights_with_nan_are_rejected_in_one_line(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["classifier.bias"] = torch.full((2,), float("nan"))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    async with Classifier(Settings(model=str(folder), threads=1), Metrics()) as classifier:
        with pytest.raises(ModelUnusable, match="weights are damaged"):
            await classifier.wait_ready_or_raise()
        assert "\n" not in classifier.state.reason


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EMFILE, "Too many open files", "config.json"),
        RuntimeError("unable to mmap: Cannot allocate memory (12)"),
        MemoryError(),
        ConnectionResetError("reset by the hub"),
        ClassifierUnavailable("the hub responded with 503"),
    ],
)
async def test_a_temporary_error_is_retried_and_its_cause_is_the_reason_of_the_state(error: Exception) -> None:
    errors = iter([error, error, None])
    reasons: list[str] = []

    def load() -> ModelFiles:
        reasons.append(classifier.state.reason)
        if (failure := next(errors)) is not None:
            raise failure
        return model_files()

    classifier = stubbed(StubEngine(), load=load, retry_base_s=0.3)
    async with classifier:
        failed = await classifier.wait_for(lambda state: state.phase is Phase.FAILED)
        assert str(error) in failed.reason
        assert "Next attempt in" in failed.reason
        await classifier.wait_for(lambda state: state.is_ready)
    assert reasons[0] == "loading the model"
    assert all(str(error) in reason for reason in reasons[1:])


async def test_a_temporary_error_of_the_engine_is_retried() -> None:
    engine = StubEngine()
    failures = iter([True, False])

    def out_of_memory(_clip: object) -> tuple[float, float]:
        if next(failures, False):
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return 2.0, 0.0

    engine.answer = out_of_memory
    async with stubbed(engine, retry_base_s=0.01) as classifier:
        await classifier.wait_for(lambda state: state.is_ready)


@pytest.mark.parametrize(
    "error",
    [
        ModelUnusable("no config.json: set AMD_MODEL=demo"),
        FileNotFoundError(errno.ENOENT, "No such file or directory", "config.json"),
        KeyError("hidden_size"),
    ],
)
async def test_an_error_that_needs_a_change_is_final(error: Exception) -> None:
    loads: list[None] = []

    def load() -> ModelFiles:
        loads.append(None)
        raise error

    async with stubbed(StubEngine(), load=load, retry_base_s=0.001) as classifier:
        with pytest.raises(ModelUnusable):
            await classifier.wait_ready_or_raise()
        await until(lambda: "inference" not in {thread.name for thread in threading.enumerate()})
    assert len(loads) == 1


async def test_an_unreachable_hub_is_retried() -> None:
    answers = iter([ClassifierUnavailable("the hub does not answer"), None])

    def load() -> ModelFiles:
        if (error := next(answers)) is not None:
            raise error
        return model_files()

    async with stubbed(StubEngine(), load=load, retry_base_s=0.01) as classifier:
        await classifier.wait_for(lambda state: state.is_ready)
        assert classifier.state.is_ready


async def test_a_command_reports_a_temporary_error_once_without_a_next_attempt() -> None:
    loads: list[None] = []

    def load() -> ModelFiles:
        loads.append(None)
        raise ClassifierUnavailable("the hub does not answer")

    with capture_logs() as logs:
        async with stubbed(StubEngine(), load=load, retry_base_s=0.001, is_service=False) as classifier:
            with pytest.raises(ModelUnusable, match=r"^the hub does not answer$"):
                await classifier.wait_ready_or_raise()
            await until(lambda: "inference" not in {thread.name for thread in threading.enumerate()})
    assert (len(loads), logs) == (1, [])


@pytest.mark.parametrize("is_loading", [True, False], ids=["loading", "scoring"])
async def test_a_thread_that_only_loads_the_model_is_no_warning_at_shutdown(is_loading: bool) -> None:
    reached, go_on, engine = threading.Event(), threading.Event(), StubEngine()

    def slow() -> ModelFiles:
        reached.set()
        go_on.wait(20)
        return model_files()

    with capture_logs() as logs:
        classifier = stubbed(engine, load=slow if is_loading else model_files, close_timeout_s=0.01)
        classifier.start()
        if is_loading:
            await asyncio.to_thread(reached.wait)
            await classifier.close()
        else:
            await classifier.wait_ready_or_raise()
            async with busy(engine, classifier) as scored:
                await classifier.close()
                scored.cancel()
        go_on.set()
        await until(lambda: "inference" not in {thread.name for thread in threading.enumerate()})
    assert ("inference thread still busy at shutdown" in {line["event"] for line in logs}) is not is_loading
