"""Exporting builds once, gates against the reference, and activates only what passed."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from rich.console import Console

from amd_service.detection.classifier.engine_check import Requirements
from amd_service.detection.classifier.engines.engine import load_engine
from amd_service.detection.classifier.exported_engine import locate_exported_engine
from amd_service.detection.classifier.model import open_model
from amd_service.errors import ConfigurationError, ModelUnusable
from amd_service.lab.export import run
from amd_service.lab.export.build import build
from amd_service.lab.export.check_windows import Samples, WindowSets, draw_windows, read_recordings
from amd_service.lab.export.run import export
from amd_service.settings import Settings
from tests.support.models import build_model

FEW = Requirements(windows=20)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model(tmp_path_factory.mktemp("models") / "good")


@pytest.fixture
def settings(model: Path, tmp_path: Path) -> Settings:
    return Settings(model=str(model), cache_dir=tmp_path / "cache", threads=1)


@pytest.fixture
def said() -> Console:
    return Console(record=True, width=200, file=StringIO())


@pytest.fixture
def few_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gate with 20 windows of noise: the rules are the same."""

    def draw(_settings: Settings, _folder: Path | None, *, gate: int, calibration: int) -> Any:
        assert gate in {20, 200}
        rng = np.random.default_rng(0)
        made = [rng.normal(0, 0.1, 16_000).astype(np.float32) for _ in range(20)]
        return WindowSets(gate=made, calibration=made[:4], origin="noise")

    monkeypatch.setattr(run, "draw_windows", draw)


@pytest.mark.slow
def test_an_engine_that_passes_is_kept_recorded_and_served(settings: Settings, said: Console) -> None:
    check = export(settings, engine="openvino", precision="bf16", console=said)
    assert check.passed
    assert check.windows == 200
    assert set(check.window_lengths_ms) >= {"1000", "2000"}
    assert 0 < check.max_dp <= 0.02
    assert "torch" in check.versions
    files = open_model(settings)
    exported = locate_exported_engine(files, "openvino", "bf16", settings.cache_dir)
    assert exported.read_check() == check
    text = said.export_text()
    assert "engine check passed: max |Δp|" in text
    assert "flips" in text
    chosen = load_engine(files, Settings(engine="openvino", precision="bf16", cache_dir=settings.cache_dir, threads=1))
    assert (chosen.engine.name, chosen.engine.precision) == ("openvino", "bf16")
    assert chosen.check == check


@pytest.mark.slow
@pytest.mark.usefixtures("few_windows")
def test_what_passed_is_not_built_twice_unless_asked(
    settings: Settings, said: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = export(settings, engine="openvino", precision="fp32", requirements=FEW, console=said)
    built: list[str] = []

    def count(engine: str, *rest: Any) -> None:
        built.append(engine)
        build(engine, *rest)

    monkeypatch.setattr(run, "build", count)
    assert export(settings, engine="openvino", precision="fp32", requirements=FEW, console=said) == first
    assert not built
    assert "exported before" in said.export_text()
    export(settings, engine="openvino", precision="fp32", again=True, requirements=FEW, console=said)
    assert built == ["openvino"]


@pytest.mark.usefixtures("few_windows")
def test_an_engine_past_the_limit_is_kept_with_the_reason_and_not_served(
    settings: Settings, said: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    requirements = Requirements(max_dp={"bf16": 1e-9}, windows=20)
    check = export(settings, engine="torch", precision="bf16", requirements=requirements, console=said)
    assert not check.passed
    assert "it will not be served" in said.export_text()
    with pytest.raises(
        ModelUnusable, match=r"failed its engine check \(max \|Δp\| .* exceeds the limit of 1e-09 for bf16\)"
    ):
        load_engine(open_model(settings), settings.model_copy(update={"engine": "torch", "precision": "bf16"}))


@pytest.mark.usefixtures("few_windows")
def test_a_build_that_fails_leaves_nothing_that_could_be_taken_for_an_engine(
    settings: Settings, said: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(_engine: str, _precision: str, _files: Any, graph: Path, _calibration: Sequence[Samples]) -> None:
        graph.write_bytes(b"half a graph")
        raise OSError("no space left on device")

    monkeypatch.setattr(run, "build", half)
    with pytest.raises(OSError, match="no space"):
        export(settings, engine="onnx", precision="fp32", requirements=FEW, console=said)
    exported = locate_exported_engine(open_model(settings), "onnx", "fp32", settings.cache_dir)
    assert list(exported.folder.parent.iterdir()) == []


@pytest.mark.usefixtures("few_windows")
def test_two_exports_of_a_model_wait_for_each_other(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    meeting = threading.Barrier(2)

    def meet(*_: Any) -> None:
        with pytest.raises(threading.BrokenBarrierError):
            meeting.wait(0.3)
        meeting.reset()
        raise OSError("built alone")

    def one(engine: str) -> str:
        with pytest.raises(OSError, match="built alone") as ended:
            export(settings, engine=engine, precision="fp32", requirements=FEW, console=Console(file=StringIO()))
        return str(ended.value)

    monkeypatch.setattr(run, "build", meet)
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(one, ("openvino", "openvino"))) == ["built alone"] * 2


@pytest.mark.usefixtures("few_windows")
def test_flips_are_counted_at_the_thresholds_that_the_verdicts_use(settings: Settings, said: Console) -> None:
    strict = settings.model_copy(update={"min_confidence_voicemail": 0.9})
    assert set(export(strict, engine="torch", precision="bf16", requirements=FEW, console=said).flips) == {
        "0.5",
        "0.7",
        "0.9",
    }


@pytest.mark.usefixtures("few_windows")
def test_the_references_answers_are_kept_for_the_very_model_and_only_while_readable(
    settings: Settings, said: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def answer(name: str, *_: Any) -> Any:
        asked.append(name)
        return np.full(20, 0.9)

    def again(**changes: Any) -> list[str]:
        asked.clear()
        export(
            settings.model_copy(update=changes),
            engine="torch",
            precision="bf16",
            again=True,
            requirements=FEW,
            console=said,
        )
        return asked.copy()

    monkeypatch.setattr(run, "_probabilities", answer)
    both, candidate_alone = ["torch", "torch"], ["torch"]
    assert again() == both
    assert again() == candidate_alone
    assert again(labels="voicemail,human") == both
    for kept in (settings.cache_dir / "references").iterdir():
        kept.write_bytes(kept.read_bytes()[:-4])
    assert again() == both
    assert again() == candidate_alone


@pytest.mark.parametrize(
    ("engine", "precision", "cure"),
    [("torch", "fp32", "is the reference"), ("onnx", "bf16", "take one of"), ("abacus", "fp32", "take one of")],
)
def test_what_cannot_be_exported_is_refused_with_the_choices(
    settings: Settings, engine: str, precision: str, cure: str
) -> None:
    with pytest.raises(ConfigurationError, match=cure):
        export(settings, engine=engine, precision=precision)


def test_windows_are_the_same_for_the_same_seed_and_not_shared_with_the_calibration() -> None:
    settings = Settings()
    first = draw_windows(settings, None, gate=40, calibration=10)
    second = draw_windows(settings, None, gate=40, calibration=10)
    other = draw_windows(settings, None, gate=40, calibration=10, seed=1)
    assert [one.tobytes() for one in first.gate] == [one.tobytes() for one in second.gate]
    assert [one.tobytes() for one in first.gate] != [one.tobytes() for one in other.gate]
    gate = {one.tobytes() for one in first.gate}
    assert len(gate) == 40
    assert gate.isdisjoint(one.tobytes() for one in first.calibration)
    assert all(len(one) >= 16_000 and np.abs(one).max() <= 1 for one in first.gate)


def test_the_users_own_recordings_are_read_and_the_unreadable_left_out(tmp_path: Path) -> None:
    [(waveform, _onset_ms), *_] = read_recordings(None).waveforms
    soundfile.write(tmp_path / "call.wav", waveform.samples, waveform.rate_hz, subtype="ULAW")
    (tmp_path / "broken.wav").write_bytes(b"<html>")
    soundfile.write(tmp_path / "silence.wav", np.zeros(16_000), 8000)
    assert read_recordings(tmp_path).origin == f"1 recordings of {tmp_path.name}"


def test_a_folder_without_speech_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no recording with speech"):
        read_recordings(tmp_path)
