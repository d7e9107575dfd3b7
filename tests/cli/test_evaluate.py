"""`amd-service evaluate` as a person runs it."""

import json
from pathlib import Path
from shutil import copytree

import pytest

from amd_service.detection.classifier.hub import DEMO_FOLDER
from tests.support.command_line import CommandLine
from tests.support.labelled_calls import lay_out_calls


@pytest.fixture
def command_line(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> CommandLine:
    monkeypatch.setenv("AMD_CACHE_DIR", str(tmp_path / "cache"))
    return CommandLine(monkeypatch, capfd)


def test_json_is_one_document_and_the_files_are_written(
    command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = {"01-human-hello": "human", "07-voicemail-carrier": "voicemail"}
    folder, out = lay_out_calls(tmp_path / "calls", calls), tmp_path / "out"
    metadata = folder / "metadata.csv"
    metadata.write_text(metadata.read_text().replace(",xx", ",en"))
    model = copytree(DEMO_FOLDER, tmp_path / "model")
    stated = {"window_ms": 3000, "long_window_ms": 6000, "min_confidence_human": 0.6}
    (model / "windows.json").write_text(json.dumps(stated))
    monkeypatch.setenv("AMD_LONG_WINDOW_MS", "7000")
    ended = command_line.run("evaluate", str(folder), "--model", str(model), "--json", "--out", str(out))
    assert ended.code == 0
    found = json.loads(ended.out)
    assert found["model"]["confusion"]["human"] == {"human": 1, "voicemail": 0, "undecided": 0}
    assert found["question"]["cluster"] == "group"
    # All clips have one language, so a table of languages would repeat the other figures.
    assert found["question"]["by"] == []
    policy = found["model"]["policy"]
    assert (policy["window_ms"], policy["long_window_ms"]) == (3000, 7000)
    assert policy["min_confidence"] == {"human": 0.6, "voicemail": 0.7}
    assert json.loads((out / "evaluation.json").read_text()) == found
    assert (out / "report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--split", "half"], "--split must be train, validation, test or all, not 'half'"),
        (["--split", "test"], "has no splits"),
        (["--cluster", "caller"], "no clip has a value in the column 'caller': choose one of group, language"),
    ],
)
def test_wrong_arguments_are_refused_before_a_model_is_loaded(
    command_line: CommandLine, tmp_path: Path, arguments: list[str], message: str
) -> None:
    folder = lay_out_calls(tmp_path / "calls")
    ended = command_line.run("evaluate", str(folder), "--model", "/nowhere", *arguments)
    assert ended.code == 2
    assert message in ended.err


def test_a_dataset_without_voicemails_is_refused(command_line: CommandLine, tmp_path: Path) -> None:
    folder = lay_out_calls(tmp_path / "calls", {"01-human-hello": "human"})
    ended = command_line.run("evaluate", str(folder), "--model", "demo")
    assert ended.code == 2
    assert "no file with the label voicemail" in ended.err
