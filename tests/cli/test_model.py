"""`amd-service model list`, `show` and `compare`."""

import asyncio
import json
import shutil
from pathlib import Path

import huggingface_hub.constants
import pytest

from amd_service.database.pool import Database
from amd_service.detection.classifier.hub import DEMO_FOLDER
from amd_service.domain import Label, ReviewAnswer
from tests.support.call_rows import numbered_sid
from tests.support.command_line import CommandLine
from tests.support.models import build_model
from tests.support.shadow import OTHER_MODEL, judged_by_both

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], database_url: str, tmp_path: Path
) -> CommandLine:
    monkeypatch.setenv("AMD_DATABASE_URL", database_url)
    monkeypatch.setenv("AMD_MODEL", "demo")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return CommandLine(monkeypatch, capfd)


def put_in_cache(cache: Path, name: str, folder: Path) -> None:
    repository = cache / f"models--somebody--{name}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    shutil.copytree(folder, repository / "snapshots" / COMMIT)


def test_the_list_contains_named_included_and_downloaded_models(
    command: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = build_model(tmp_path / "new")
    put_in_cache(tmp_path / "hub", "classifier", folder)
    (tmp_path / "empty").mkdir()
    put_in_cache(tmp_path / "hub", "unusable", tmp_path / "empty")
    monkeypatch.setenv("AMD_MODEL", str(folder))
    monkeypatch.setenv("AMD_SHADOW_MODEL", "somebody/absent")
    found = json.loads(command.run("model", "list", "--json").out)
    assert [(each["model"], each["used_as"], each["revision"]) for each in found] == [
        (str(folder), ["AMD_MODEL"], None),
        ("somebody/absent", ["AMD_SHADOW_MODEL"], None),
        ("demo", [], None),
        ("somebody/classifier", [], COMMIT),
    ]
    assert "not downloaded" in found[1]["problem"]
    assert "AMD_SHADOW_MODEL: somebody/absent is not downloaded" in command.run("model", "list").out


def test_show_describes_a_model_without_loading_it(command: CommandLine) -> None:
    shown = json.loads(command.run("model", "show", "--json").out)
    assert (shown["folder"], shown["used_as"]) == (str(DEMO_FOLDER), ["AMD_MODEL"])
    assert shown["labels"] == ["human", "voicemail"]
    assert len(shown["weights_sha256"]) == len(shown["config_sha256"]) == 64
    assert shown["parameters"] > 1_000_000
    assert shown["temperature"] > 0
    assert shown["card"].startswith("# Demonstration model")
    assert "labels           human, voicemail" in command.run("model", "show").out


def test_show_names_the_windows_of_the_model(command: CommandLine, tmp_path: Path) -> None:
    folder = build_model(tmp_path / "new")
    (folder / "windows.json").write_text('{"window_ms": 5000, "long_window_ms": 8000}')
    shown = json.loads(command.run("model", "show", str(folder), "--json").out)
    assert shown["windows"] == {"window_ms": 5000, "long_window_ms": 8000}
    assert "windows          window_ms=5000, long_window_ms=8000" in command.run("model", "show", str(folder)).out


def test_show_says_why_a_model_cannot_be_used(command: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    ended = command.run("model", "show", str(tmp_path / "empty"))
    assert (ended.code, ended.out) == (2, "")
    assert "has no config.json" in ended.err


async def compared_calls(database_url: str) -> None:
    database = Database(database_url)
    await judged_by_both(database, 1, Label.HUMAN, Label.VOICEMAIL, ReviewAnswer.VOICEMAIL)
    await judged_by_both(database, 2, Label.HUMAN, Label.HUMAN)
    await database.dispose()


@pytest.mark.usefixtures("emptied")
def test_compare_prints_what_would_change_with_reviews_and_pages(
    command: CommandLine, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMD_PUBLIC_URL", "https://amd.example.com")
    ended = command.run("model", "compare")
    assert ended.code == 2
    assert "AMD_SHADOW_MODEL" in ended.err
    asyncio.run(compared_calls(database_url))
    found = json.loads(command.run("model", "compare", "--since", "1h", "--json").out)
    assert (found["model"]["id"], found["calls"], found["agreeing"]) == (OTHER_MODEL.id, 2, 1)
    assert found["labels"]["human"] == {"human": 1, "voicemail": 1, "undecided": 0}
    assert (found["only_present_right"], found["only_shadow_right"], found["p_value"]) == (0, 1, 1.0)
    (changed,) = found["changed"]
    assert changed["page"] == f"https://amd.example.com/calls/{numbered_sid(1)}"
    assert found["until"] is None
    ended = command.run("model", "compare", "--until", "1h")
    assert (ended.code, "no shadow runs on calls that began since" in ended.err) == (2, True)
    text = command.run("model", "compare").out
    assert "1 labels would change; 50.0% stay" in text
    assert f"https://amd.example.com/calls/{numbered_sid(1)}" in text
