"""`amd-service model promote`."""

import json
import shutil
from pathlib import Path

import pytest

from amd_service.detection.classifier.hub import DEMO_FOLDER
from amd_service.detection.label_check import SHIPPED_CLIPS
from tests.support.command_line import CommandLine
from tests.support.models import build_model

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]

# The golden clips are six of each label.
FEW = ("--min-clips", "6")


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> CommandLine:
    monkeypatch.setenv("AMD_MODEL", "demo")
    monkeypatch.setenv("AMD_THREADS", "1")
    return CommandLine(monkeypatch, capfd)


def test_a_model_that_is_not_worse_is_promoted_with_both_settings(
    command: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMD_LABELS", "human,voicemail")
    monkeypatch.setenv("AMD_WINDOW_MS", "2000")
    folder = Path(shutil.copytree(DEMO_FOLDER, tmp_path / "new"))
    ended = command.run("model", "promote", str(folder), "--data", str(SHIPPED_CLIPS), *FEW)
    assert ended.code == 0
    assert f"To change:      AMD_MODEL={folder}\nTo change back: AMD_MODEL=demo\n" in ended.out
    assert "against demo: right label +0.0% (+0.0% to +0.0%)" in ended.out
    assert "AMD_LABELS describes the present model: unset it with the change" in ended.out
    assert "AMD_WINDOW_MS stays in force" in ended.out


def test_a_worse_model_is_refused_unless_it_reaches_the_stated_accuracy(command: CommandLine, tmp_path: Path) -> None:
    untrained = str(build_model(tmp_path / "untrained"))
    ended = command.run("model", "promote", untrained, "--data", str(SHIPPED_CLIPS), *FEW, "--json")
    found = json.loads(ended.out)
    assert (ended.code, found["promoted"]) == (1, False)
    assert "fewer of the clips than the present model" in found["refusals"][0]
    ended = command.run("model", "promote", untrained, "--data", str(SHIPPED_CLIPS), *FEW, "--min-accuracy", "0.9")
    assert ended.code == 1
    assert "below --min-accuracy 90.0%." in ended.out
    assert "To change" not in ended.out
    assert (
        command.run("model", "promote", "demo", "--data", str(SHIPPED_CLIPS), *FEW, "--min-accuracy", "0.9").code == 0
    )


def test_too_few_recordings_are_refused_with_their_number_and_the_cure(command: CommandLine) -> None:
    ended = command.run("model", "promote", "demo", "--data", str(SHIPPED_CLIPS))
    assert ended.code == 1
    assert (
        "Not promoted: 6 human and 6 voicemail clips are too few to judge a model, at least 50 of each label are "
        "needed: add recordings, or lower the bound with --min-clips.\n"
    ) in ended.out


def test_a_model_that_is_worse_on_too_few_clips_is_promoted_with_a_note(command: CommandLine, tmp_path: Path) -> None:
    for label in ("human", "voicemail"):
        (tmp_path / "few" / label).mkdir(parents=True)
        shutil.copy(next((SHIPPED_CLIPS / label).glob("*.wav")), tmp_path / "few" / label)
    timid = Path(shutil.copytree(DEMO_FOLDER, tmp_path / "timid"))
    (timid / "windows.json").write_text(json.dumps({"min_confidence_voicemail": 0.999}))
    ended = command.run("model", "promote", str(timid), "--data", str(tmp_path / "few"), "--min-clips", "1")
    assert ended.code == 0
    assert "Note: the model has fewer right labels than the present one." in ended.out


def test_a_model_that_contradicts_the_golden_clips_is_refused(command: CommandLine, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(DEMO_FOLDER, tmp_path / "swapped"))
    config = json.loads((folder / "config.json").read_text())
    config |= {"id2label": {"0": "voicemail", "1": "human"}, "label2id": {"voicemail": 0, "human": 1}}
    (folder / "config.json").write_text(json.dumps(config))
    ended = command.run("model", "promote", str(folder), "--data", str(SHIPPED_CLIPS), *FEW)
    assert (ended.code, ended.out) == (2, "")
    assert "contradict the label order" in ended.err


def test_a_model_without_the_demanded_engine_is_refused(
    command: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMD_ENGINE", "onnx")
    monkeypatch.setenv("AMD_CACHE_DIR", str(tmp_path / "cache"))
    ended = command.run("model", "promote", "demo", "--data", str(SHIPPED_CLIPS), *FEW)
    assert (ended.code, ended.out) == (2, "")
    assert "amd-service model export --engine onnx" in ended.err or "pip install" in ended.err
