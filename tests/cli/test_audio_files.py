"""The files that `classify` finds below directories."""

from pathlib import Path

import pytest

from amd_service.cli.audio_files import find_audio_files
from amd_service.detection.audio.file_suffixes import CONTENT_TYPES
from amd_service.errors import ConfigurationError
from tests.support.command_line import CommandLine


def test_a_directory_is_searched_for_known_suffixes_at_any_depth(tmp_path: Path) -> None:
    known = [tmp_path / "a" / f"{number:02}{suffix}" for number, suffix in enumerate(CONTENT_TYPES)]
    (tmp_path / "a" / "b.WAV").mkdir(parents=True)  # a directory with the name of a file
    for file in (*known, tmp_path / "a" / "b.WAV" / "c.MP3", tmp_path / "notes.txt", tmp_path / "a" / ".hidden"):
        file.touch()
    assert find_audio_files([tmp_path]) == [*known, tmp_path / "a" / "b.WAV" / "c.MP3"]


def test_a_file_is_kept_with_any_suffix_and_in_the_given_order(tmp_path: Path) -> None:
    files = [tmp_path / "b.bin", tmp_path / "a"]
    for file in files:
        file.touch()
    assert find_audio_files(files) == files


def test_a_directory_without_audio_names_the_suffixes(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"contains no audio file: the suffix must be \.wav, \.mp3, "):
        find_audio_files([tmp_path])


@pytest.mark.parametrize("command", ["classify"])
def test_a_model_that_cannot_be_loaded_is_named_once_by_setting_and_value(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.wav").touch()
    ended = CommandLine(monkeypatch, capfd).run(command, "--model", "/nowhere", str(tmp_path))
    line = ended.err.splitlines()[-1]
    assert (ended.code, line.count("/nowhere")) == (2, 1)
