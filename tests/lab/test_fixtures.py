import json
from pathlib import Path

import pytest

from amd_service.lab.fixtures.call_folders import write_calls
from amd_service.lab.fixtures.catalogue import calls
from amd_service.lab.fixtures.golden import write_golden
from amd_service.twilio.callbacks import parse_amd, parse_recording, parse_status

FIXTURES = Path(__file__).parents[2] / "fixtures" / "calls"
GOLDEN = Path(__file__).parents[2] / "amd_service" / "models" / "golden"
FOLDERS = sorted(FIXTURES.iterdir())
SIDS = {
    "{account_sid}": "AC" + "0" * 32,
    "{call_sid}": "CA" + "0" * 32,
    "{recording_sid}": "RE" + "0" * 32,
    "{recording_url}": "https://api.example.com/recording",
}


def test_every_call_of_the_catalogue_has_its_folder() -> None:
    assert [folder.name for folder in FOLDERS] == [f"{n:02d}-{call.name}" for n, call in enumerate(calls(), start=1)]
    assert len(FOLDERS) >= 18


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_callbacks_of_fixture_calls_can_be_parsed(folder: Path) -> None:
    for line in (folder / "callbacks.jsonl").read_text(encoding="utf-8").splitlines():
        request = json.loads(line)
        form = [(name, SIDS.get(value, value)) for name, value in request["form"]]
        if request["path"] == "/twilio/status":
            assert parse_status(form).sequence_number is not None
            assert parse_status(form).timestamp is not None
        elif request["path"] == "/twilio/amd":
            assert parse_amd(form).machine_detection_ms is not None
        else:
            assert request["path"] == "/twilio/recording"
            assert parse_recording(form).started_at is not None


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_fixture_call_has_an_expected_row_and_an_origin(folder: Path) -> None:
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    assert expected["analysis_state"] in ("judged", "failed", "not_applicable")
    assert (folder / "origin.txt").read_text(encoding="utf-8").strip()


def test_the_fixtures_have_right_wrong_and_unknown_results_of_twilios_detection() -> None:
    """The view `call_log_agreement` then shows a row of each kind after a replay."""
    opinions = {
        (expected["label"], expected["twilio_answered_by"])
        for folder in FOLDERS
        if "twilio_answered_by" in (expected := json.loads((folder / "expected.json").read_text(encoding="utf-8")))
    }
    assert opinions == {
        ("human", "human"),
        ("human", "unknown"),
        ("voicemail", "machine_start"),
        ("voicemail", "human"),
    }


def test_phone_numbers_are_fictional() -> None:
    for folder in FOLDERS:
        for line in (folder / "callbacks.jsonl").read_text(encoding="utf-8").splitlines():
            numbers = [value for name, value in json.loads(line)["form"] if name in ("From", "To", "Caller", "Called")]
            assert all(number.startswith("+1500555") for number in numbers)


def test_recordings_are_small() -> None:
    assert sum(path.stat().st_size for path in FIXTURES.rglob("*") if path.is_file()) < 2_000_000


@pytest.mark.slow
@pytest.mark.speech_engines
def test_the_fixtures_in_the_repository_are_those_that_the_lab_writes(tmp_path: Path) -> None:
    """Other versions of the speech engines may change the audio, but not names, callbacks and expected rows."""
    written = write_calls(tmp_path / "calls")
    for folder, kept in zip(written, FOLDERS, strict=True):
        for name in ("callbacks.jsonl", "expected.json", "origin.txt"):
            assert (folder / name).read_text(encoding="utf-8") == (kept / name).read_text(encoding="utf-8")
        assert {path.name for path in folder.iterdir()} == {path.name for path in kept.iterdir()}
    clips = {path.relative_to(tmp_path / "golden") for path in write_golden(tmp_path / "golden")}
    assert clips == {path.relative_to(GOLDEN) for path in GOLDEN.glob("*/*.wav")}


def test_there_are_enough_short_golden_clips_of_each_label() -> None:
    for label in ("human", "voicemail"):
        clips = sorted((GOLDEN / label).glob("*.wav"))
        assert len(clips) >= 5
        assert all(clip.stat().st_size < 3 * 16_000 + 100 for clip in clips)
