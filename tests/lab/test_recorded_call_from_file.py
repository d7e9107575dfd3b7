from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import numpy as np
import pytest

from amd_service.domain import Label
from amd_service.errors import ConfigurationError
from amd_service.lab.fixtures.from_file import write_recorded_call
from amd_service.simulator.call_library import dialled_number, load_library, scenario_of
from amd_service.simulator.recorded_calls import load_calls
from tests.support.fixture_calls import HUMAN, VOICEMAIL
from tests.support.signals import file_of, silence, tone


def write(path: Path, body: bytes) -> Path:
    path.write_bytes(body)
    return path


def test_recordings_become_recorded_calls_with_numbers_of_their_own(tmp_path: Path) -> None:
    directory = tmp_path / "my-calls"
    human = write_recorded_call(write(tmp_path / "Anna.WAV", HUMAN), directory, label=Label.HUMAN)
    write_recorded_call(write(tmp_path / "carrier.wav", VOICEMAIL), directory, to="+4930123456")
    other = write_recorded_call(write(tmp_path / "third.wav", VOICEMAIL), directory)
    calls = {call.name: call for call in load_calls(directory)}
    assert list(calls) == ["Anna", "carrier", "third"]
    assert [dialled_number(call) for call in calls.values()] == ["+15005550201", "+4930123456", "+15005550202"]
    assert calls["Anna"].expected == {"analysis_state": "judged", "label": "human"}
    assert calls["carrier"].expected == {"analysis_state": "judged"}
    assert (human.name, other.name, calls["Anna"].recording) == ("Anna", "third", HUMAN)


def test_a_recorded_call_ended_when_it_was_made(tmp_path: Path) -> None:
    write_recorded_call(write(tmp_path / "Anna.wav", HUMAN), tmp_path / "calls")
    (call,) = load_calls(tmp_path / "calls")
    forms = [dict(callback.form) for callback in call.callbacks]
    times = [
        parsedate_to_datetime(form[name])
        for form in forms
        for name in ("Timestamp", "RecordingStartTime")
        if name in form
    ]
    assert times == [*sorted(times[:-1]), times[2]]
    assert len(times) == 5
    assert timedelta(0) <= datetime.now(UTC) - times[3] < timedelta(minutes=1)


@pytest.mark.parametrize(("channel", "source"), [(None, "OutboundAPI"), (1, "OutboundAPI"), (2, "DialVerb")])
def test_the_channel_of_the_called_party_is_reported_as_twilio_does(
    tmp_path: Path, channel: int | None, source: str
) -> None:
    pair = file_of(np.stack([tone((440.0,), 1.0), silence(1.0)], axis=1))
    folder = write_recorded_call(write(tmp_path / "pair.wav", pair), tmp_path / "calls", channel=channel)
    (call,) = load_library(folder).calls
    assert (scenario_of(call).recording_source, scenario_of(call).channels) == (source, 2)


def test_an_existing_call_is_not_replaced(tmp_path: Path) -> None:
    file = write(tmp_path / "hello.wav", HUMAN)
    folder = write_recorded_call(file, tmp_path / "calls")
    (folder / "expected.json").write_text('{"label": "human"}')
    with pytest.raises(ConfigurationError, match=r"cannot create .*hello \(File exists\): rename hello\.wav"):
        write_recorded_call(file, tmp_path / "calls")
    assert (folder / "expected.json").read_text() == '{"label": "human"}'


@pytest.mark.parametrize(
    ("name", "body", "options", "message"),
    [
        ("page.wav", b"<html>sign in</html>", {}, "page.wav is not a recording"),
        ("call.m4a", HUMAN, {}, r"must end in \.wav, .*\.mp3, \.flac"),
        ("mono.wav", HUMAN, {"channel": 2}, "has one channel"),
        ("mono.wav", HUMAN, {"to": "0301234"}, "not a number in E.164 format"),
    ],
)
def test_a_bad_recording_is_refused_and_nothing_is_written(
    tmp_path: Path, name: str, body: bytes, options: dict[str, int | str], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        write_recorded_call(write(tmp_path / name, body), tmp_path / "calls", **options)  # type: ignore[arg-type]
    assert not (tmp_path / "calls").exists()
