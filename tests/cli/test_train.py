import json
from pathlib import Path

import pytest

from amd_service.cli import extra
from amd_service.detection.label_check import SHIPPED_CLIPS
from amd_service.telemetry.command_name import with_command_name
from tests.support.command_line import CommandLine
from tests.support.models import build_model

QUICK = ["--epochs", "1", "--threads", "1", "--device", "cpu", "--precision", "fp32", "--no-augment",
         "--window-ms", "1000", "--long-window-ms", "1000"]  # fmt: skip


@pytest.fixture
def command_line(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(monkeypatch, capfd)


@pytest.mark.slow
def test_train_prints_the_scores_with_intervals_as_one_json_document(command_line: CommandLine, tmp_path: Path) -> None:
    start, out = build_model(tmp_path / "start"), tmp_path / "out"
    ended = command_line.run("train", str(SHIPPED_CLIPS), "--out", str(out), "--model", str(start), "--json", *QUICK)
    assert ended.code == 0, ended.err
    report = json.loads(ended.out)
    assert report["folder"] == str(out)
    assert report["parts"] == {"train": 10, "validation": 2, "test": 0}
    assert {"share", "low", "high"} <= set(report["scores"]["validation"]["right"])
    (warning,) = report["warnings"]
    assert warning.startswith("Only 2 held-out recordings with speech choose the best weights and the temperature; 50 ")
    assert f"Warning: {warning}\n" in ended.err
    assert f"- {warning}\n" in (out / "README.md").read_text()
    assert (out / "config.json").exists()
    again = command_line.run("train", str(SHIPPED_CLIPS), "--out", str(out), "--model", str(start), *QUICK)
    assert (again.code, again.err) == (
        2,
        f"amd-service: {out} already holds a model: choose another folder for --out, or delete this one\n",
    )


@pytest.mark.slow
def test_the_commands_name_the_next_command_and_known_recordings(command_line: CommandLine, tmp_path: Path) -> None:
    start, out = build_model(tmp_path / "start"), tmp_path / "out"
    trained = command_line.run("train", str(SHIPPED_CLIPS), "--out", str(out), "--model", str(start), *QUICK)
    assert trained.out.endswith(f"\nNext: amd-service evaluate OTHER_DATA --model {out} --against {start}\n")
    evaluated = command_line.run("evaluate", str(SHIPPED_CLIPS), "--model", str(out))
    assert "trainedwith12ofthese12recordings" in "".join(evaluated.out.split())
    assert evaluated.out.endswith(f"\nNext: amd-service model promote {out} --data {SHIPPED_CLIPS}\n")


def test_data_that_is_not_a_folder_is_named(command_line: CommandLine, tmp_path: Path) -> None:
    ended = command_line.run("train", str(tmp_path / "none"), "--out", str(tmp_path / "out"), "--model", "demo")
    assert ended.code == 2
    assert ended.err.startswith(f"amd-service: {tmp_path / 'none'} is not a folder: name a dataset folder")


@pytest.mark.parametrize("command", [("train", "DATA", "--out", "MODEL"), ("evaluate", "DATA"),
                                     ("model", "promote", "MODEL", "--data", "DATA")])  # fmt: skip
def test_without_the_extra_the_command_names_how_to_install_it(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setattr(extra, "TRAIN", ("no_such_library",))
    monkeypatch.setattr(extra, "EVALUATE", ("no_such_library",))
    ended = command_line.run(*command)
    name = "model promote" if command[0] == "model" else command[0]
    expected = f"amd-service: `amd-service {name}` needs no_such_library: pip install 'amd-service[train]'\n"
    assert (ended.code, ended.err) == (2, with_command_name(expected))
