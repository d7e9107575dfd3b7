"""Exporting builds an engine once and compares it with the reference. Only engines that pass are used."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from rich.console import Console

from amd_service.detection.classifier.engine_check import Requirements
from amd_service.detection.classifier.engines.engine import load_engine
from amd_service.detection.classifier.engines.selection import Hardware
from amd_service.detection.classifier.exported_engine import locate_exported_engine
from amd_service.detection.classifier.model import open_model
from amd_service.detection.decision import Policy
from amd_service.errors import ConfigurationError, ModelUnusable
from amd_service.lab.export.build import build
from amd_service.lab.export.check_windows import Samples, WindowSets, draw_windows, read_recordings
from amd_service.lab.export.exporter import Exporter, require_exportable
from amd_service.lab.export.probabilities import EngineRun
from amd_service.settings import Settings
from tests.support.models import build_model

WITH_BF16 = Hardware(cuda=False, bf16=True)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model(tmp_path_factory.mktemp("models") / "good")


@pytest.fixture
def settings(model: Path, tmp_path: Path) -> Settings:
    return Settings(model=str(model), cache_dir=tmp_path / "cache", threads=1)


@pytest.fixture
def console() -> Console:
    return Console(record=True, width=200, file=StringIO())


def draw_noise(_policy: Policy, _folder: Path | None, check: int, _calibration: int) -> WindowSets:
    """20 windows of noise. The rules are the same as for speech."""
    assert check == 20
    rng = np.random.default_rng(0)
    windows = [rng.normal(0, 0.1, 16_000).astype(np.float32) for _ in range(20)]
    return WindowSets(check=windows, calibration=windows[:4], origin="noise")


@pytest.fixture
def exporter(settings: Settings, console: Console) -> Exporter:
    return Exporter(settings, console, Requirements(windows=20), draw_noise, detect_hardware=lambda: WITH_BF16)


@pytest.mark.slow
def test_an_engine_that_passes_its_check_is_used_by_the_service(settings: Settings, console: Console) -> None:
    check = Exporter(settings, console, detect_hardware=lambda: WITH_BF16).export("openvino", "bf16")
    assert check.passed
    assert check.windows == 200
    assert set(check.window_lengths_ms) >= {"1000", "2000"}
    assert 0 < check.max_dp <= 0.02
    assert "torch" in check.versions
    files = open_model(settings)
    exported = locate_exported_engine(files, "openvino", "bf16", settings.cache_dir)
    assert exported.read_check() == check
    text = console.export_text()
    assert "engine check passed: max |Δp|" in text
    assert "flips" in text
    chosen = load_engine(files, Settings(engine="openvino", precision="bf16", cache_dir=settings.cache_dir, threads=1))
    assert (chosen.engine.name, chosen.engine.precision) == ("openvino", "bf16")
    assert chosen.check == check


@pytest.mark.slow
def test_an_engine_that_passed_is_not_built_again_unless_requested(exporter: Exporter, console: Console) -> None:
    first = exporter.export("openvino", "fp32")
    built: list[str] = []

    def count(engine: str, *rest: Any) -> None:
        built.append(engine)
        build(engine, *rest)

    counting = replace(exporter, build=count)
    assert counting.export("openvino", "fp32") == first
    assert not built
    assert "exported before" in console.export_text()
    counting.export("openvino", "fp32", again=True)
    assert built == ["openvino"]


def test_an_engine_beyond_the_limit_is_stored_with_the_reason_and_not_used(
    exporter: Exporter, settings: Settings, console: Console
) -> None:
    strict = replace(exporter, requirements=Requirements(max_dp={"bf16": 1e-9}, windows=20))
    check = strict.export("torch", "bf16")
    assert not check.passed
    assert "the service will not use this engine" in console.export_text()
    with pytest.raises(
        ModelUnusable, match=r"failed its engine check \(max \|Δp\| .* exceeds the limit of 1e-09 for bf16\)"
    ):
        load_engine(open_model(settings), settings.model_copy(update={"engine": "torch", "precision": "bf16"}))


def test_a_failed_build_leaves_no_incomplete_engine(exporter: Exporter, settings: Settings) -> None:
    def fail(_engine: str, _precision: str, _files: Any, graph: Path, _calibration: Sequence[Samples]) -> None:
        graph.write_bytes(b"half a graph")
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        replace(exporter, build=fail).export("onnx", "fp32")
    exported = locate_exported_engine(open_model(settings), "onnx", "fp32", settings.cache_dir)
    assert list(exported.folder.parent.iterdir()) == []


def test_two_exports_of_a_model_wait_for_each_other(exporter: Exporter) -> None:
    meeting = threading.Barrier(2)

    def meet(*_: Any) -> None:
        with pytest.raises(threading.BrokenBarrierError):
            meeting.wait(0.3)
        meeting.reset()
        raise OSError("built alone")

    def export(engine: str) -> str:
        alone = replace(exporter, build=meet, console=Console(file=StringIO()))
        with pytest.raises(OSError, match="built alone") as ended:
            alone.export(engine, "fp32")
        return str(ended.value)

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(export, ("openvino", "openvino"))) == ["built alone"] * 2


def test_flips_are_counted_at_the_thresholds_of_the_settings(exporter: Exporter, settings: Settings) -> None:
    strict = settings.model_copy(update={"min_confidence_voicemail": 0.9})
    assert set(replace(exporter, settings=strict).export("torch", "bf16").flips) == {"0.5", "0.7", "0.9"}


def test_the_references_probabilities_are_cached_per_model_while_readable(
    exporter: Exporter, settings: Settings
) -> None:
    measured: list[str] = []

    def measure(run: EngineRun, *_: Any) -> Any:
        measured.append(run.precision)
        return np.full(20, 0.9)

    def export_again(**changes: Any) -> list[str]:
        measured.clear()
        changed = replace(exporter, settings=settings.model_copy(update=changes), measure=measure)
        changed.export("torch", "bf16", again=True)
        return measured.copy()

    both, candidate_alone = ["fp32", "bf16"], ["bf16"]
    assert export_again() == both
    assert export_again() == candidate_alone
    assert export_again(labels="voicemail,human") == both
    for cached in (settings.cache_dir / "references").iterdir():
        cached.write_bytes(cached.read_bytes()[:-4])
    assert export_again() == both
    assert export_again() == candidate_alone


@pytest.mark.parametrize(
    ("engine", "precision", "cure"),
    [("torch", "fp32", "is the reference"), ("onnx", "bf16", "choose one of"), ("abacus", "fp32", "choose one of")],
)
def test_an_engine_that_cannot_be_exported_is_rejected_with_the_reason_or_the_choices(
    settings: Settings, engine: str, precision: str, cure: str
) -> None:
    with pytest.raises(ConfigurationError, match=cure):
        Exporter(settings).export(engine, precision)


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_bf16_is_not_exported_for_a_device_that_only_emulates_it(settings: Settings, engine: str) -> None:
    emulated = Exporter(settings, detect_hardware=lambda: Hardware(cuda=False, bf16=False))
    with pytest.raises(ModelUnusable, match=r"only emulates bf16; run `amd-service model export --engine openvino"):
        emulated.export(engine, "bf16")


def test_bf16_is_exported_for_a_gpu_whatever_the_processor_has() -> None:
    require_exportable("torch", "bf16", Hardware(cuda=True, bf16=False))
    with pytest.raises(ModelUnusable, match="this processor only emulates bf16"):
        require_exportable("openvino", "bf16", Hardware(cuda=True, bf16=False))


def test_the_same_seed_gives_the_same_windows_and_calibration_uses_other_windows() -> None:
    settings = Settings()
    first = draw_windows(Policy.from_settings(settings), None, check=40, calibration=10)
    second = draw_windows(Policy.from_settings(settings), None, check=40, calibration=10)
    other = draw_windows(Policy.from_settings(settings), None, check=40, calibration=10, seed=1)
    assert [one.tobytes() for one in first.check] == [one.tobytes() for one in second.check]
    assert [one.tobytes() for one in first.check] != [one.tobytes() for one in other.check]
    check = {one.tobytes() for one in first.check}
    assert len(check) == 40
    assert check.isdisjoint(one.tobytes() for one in first.calibration)
    assert all(len(one) >= 16_000 and np.abs(one).max() <= 1 for one in first.check)


def test_the_users_recordings_are_read_and_unreadable_files_skipped(tmp_path: Path) -> None:
    [(waveform, _onset_ms), *_] = read_recordings(None).waveforms
    soundfile.write(tmp_path / "call.wav", waveform.samples, waveform.rate_hz, subtype="ULAW")
    (tmp_path / "broken.wav").write_bytes(b"<html>")
    soundfile.write(tmp_path / "silence.wav", np.zeros(16_000), 8000)
    assert read_recordings(tmp_path).origin == f"1 recordings of {tmp_path.name}"


def test_a_folder_without_speech_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no recording with speech"):
        read_recordings(tmp_path)
