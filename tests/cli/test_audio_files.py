"""The files that `classify` finds below directories."""

from pathlib import Path

import pytest

from amd_service.cli.audio_files import find_audio_files
from amd_service.detection.audio.containers import DECODED
from amd_service.detection.audio.file_suffixes import CONTENT_TYPES
from amd_service.errors import ConfigurationError
from tests.support.command_line import CommandLine


def test_a_directory_is_searched_for_known_suffixes_at_any_depth(tmp_path: Path) -> None:
    known = [tmp_path / "a" / f"{number:02}{suffix}" for number, suffix in enumerate(CONTENT_TYPES)]
    (tmp_path / "a" / "b.WAV").mkdir(parents=True)  # a directory with the name of a file
    for file in (*known, tmp_path / "a" / "b.WAV" / "c.MP3", tmp_path / "notes.txt", tmp_path / "a" / ".hidden"):
        file.touch()
    found = find_audio_files([tmp_path])
    assert found.audio == [*known, tmp_path / "a" / "b.WAV" / "c.MP3"]
    assert found.skipped == {".txt": 1, "": 1}


def test_skipped_files_are_counted_by_suffix(tmp_path: Path) -> None:
    for name in ("a.wav", "b.m4a", "c.M4A", "d.amr", "README"):
        (tmp_path / name).touch()
    line = find_audio_files([tmp_path]).describe_skipped()
    assert line == ("skipped 4 files without a suffix of a supported audio format: 1 without suffix, 1 .amr, 2 .m4a")


def test_nothing_is_said_if_no_file_was_skipped(tmp_path: Path) -> None:
    (tmp_path / "a.flac").touch()
    assert find_audio_files([tmp_path, tmp_path / "b.bin"]).describe_skipped() is None


def test_every_format_that_the_decoder_recognises_has_a_suffix() -> None:
    assert {f".{name.lower()}" for _, _, name in DECODED} <= CONTENT_TYPES.keys()


def test_classify_names_the_skipped_files_after_the_verdicts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.flac", "b.m4a"):
        (tmp_path / name).touch()
    ended = CommandLine(monkeypatch, capfd).run("classify", "--model", "demo", str(tmp_path))
    assert ended.code == 1  # a.flac is empty
    assert "1 .m4a" in ended.err.splitlines()[-1]


def test_a_file_is_kept_with_any_suffix_and_in_the_given_order(tmp_path: Path) -> None:
    files = [tmp_path / "b.bin", tmp_path / "a"]
    for file in files:
        file.touch()
    assert find_audio_files(files).audio == files


def test_a_directory_without_audio_names_the_suffixes(tmp_path: Path) -> None:
    (tmp_path / "call.m4a").touch()
    with pytest.raises(ConfigurationError, match=r"contains no audio file: the suffix must be \.wav, .* 1 \.m4a"):
        find_audio_files([tmp_path])


def test_a_model_that_cannot_be_loaded_is_reported_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.wav").touch()
    ended = CommandLine(monkeypatch, capfd).run("classify", "--model", "/nowhere", str(tmp_path))
    (line,) = ended.err.splitlines()
    assert (ended.code, line.count("/nowhere"), "attempt" in line) == (2, 1, False)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_only_a_terminal_shows_that_the_model_is_being_loaded(
    is_terminal: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    if is_terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
    (tmp_path / "a.wav").touch()
    ended = CommandLine(monkeypatch, capfd).run("classify", "--model", "/nowhere", str(tmp_path))
    assert ("loading the model /nowhere" in ended.err) is is_terminal
