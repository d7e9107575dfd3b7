from pathlib import Path

import numpy as np
import pytest

from amd_service.detection.bundled_calls import bundled_calls
from amd_service.errors import ConfigurationError
from amd_service.settings import Account
from amd_service.simulator.call_library import audio_seconds, dialled_number, load_library, scenario_of
from amd_service.simulator.called_party_audio import called_party_audio
from tests.support.fixture_calls import CALLS, HUMAN
from tests.support.signals import file_of, silence, tone

ACCOUNT = Account.model_validate({"account_sid": "AC" + "a" * 32, "auth_tokens": ["token"]})


def test_the_dialled_number_chooses_the_recorded_call_and_other_numbers_get_all_in_turn() -> None:
    library = load_library(CALLS)
    assert library.choose("+15005550107").name == "07-voicemail-carrier"
    names = [library.choose("+12125550100").name for _ in range(len(library.calls) + 1)]
    assert names[:2] == ["01-human-hello", "02-human-business"]
    assert names[-1] == "01-human-hello"


def test_every_fixture_call_has_its_own_number() -> None:
    numbers = [dialled_number(call) for call in load_library(CALLS).calls]
    assert None not in numbers
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize(
    ("name", "ending", "recording", "source", "track", "channels"),
    [
        ("01-human-hello", "completed", "completed", "OutboundAPI", "inbound", 1),
        ("14-dual-callee-on-channel-1", "completed", "completed", "OutboundAPI", "both", 2),
        ("15-dual-callee-on-channel-2", "completed", "completed", "DialVerb", None, 2),
        ("25-recording-absent", "completed", "absent", "OutboundAPI", "inbound", 1),
        ("26-no-answer", "no-answer", "completed", "OutboundAPI", None, 1),
        ("27-out-of-order-and-duplicated", "completed", "completed", "OutboundAPI", "inbound", 1),
    ],
)
def test_a_placed_call_takes_the_course_of_the_recorded_call(
    name: str, ending: str, recording: str, source: str, track: str | None, channels: int
) -> None:
    (call,) = load_library(CALLS / name).calls
    scenario = scenario_of(call)
    assert (scenario.ending, scenario.recording_status) == (ending, recording)
    assert (scenario.recording_source, scenario.track, scenario.channels) == (source, track, channels)


def test_an_audio_file_is_a_call_whose_only_channel_is_the_called_party(tmp_path: Path) -> None:
    file = tmp_path / "hello.WAV"
    file.write_bytes(HUMAN)
    (call,) = load_library(file).calls
    assert (call.name, dialled_number(call)) == ("hello.WAV", None)
    assert (scenario_of(call).track, scenario_of(call).channels) == ("inbound", 1)
    audio = called_party_audio(call, ACCOUNT)
    assert audio is not None
    assert len(audio) / 8000 == pytest.approx(audio_seconds(call), abs=0.01)


def test_a_file_with_two_channels_is_a_dual_recording(tmp_path: Path) -> None:
    pair = file_of(np.stack([tone((440.0,), 1.0), silence(1.0)], axis=1))
    (tmp_path / "pair.wav").write_bytes(pair)
    (call,) = load_library(tmp_path).calls
    assert (scenario_of(call).track, scenario_of(call).channels) == ("both", 2)


@pytest.mark.parametrize(
    ("suffix", "form", "subtype"),
    [
        (".mp3", "MP3", "MPEG_LAYER_III"),
        (".flac", "FLAC", "PCM_16"),
        (".ogg", "OGG", "VORBIS"),
        (".opus", "OGG", "OPUS"),
        (".aif", "AIFF", "PCM_16"),
        (".aiff", "AIFF", "PCM_16"),
        (".au", "AU", "ULAW"),
        (".caf", "CAF", "PCM_16"),
        (".ulaw", "RAW", "ULAW"),
        (".ul", "RAW", "ULAW"),
        (".alaw", "RAW", "ALAW"),
    ],
)
def test_a_folder_may_have_audio_files_of_every_format(tmp_path: Path, suffix: str, form: str, subtype: str) -> None:
    (tmp_path / f"tone{suffix}").write_bytes(file_of(tone((440.0,), 1.0), form=form, subtype=subtype))
    (call,) = load_library(tmp_path).calls
    assert audio_seconds(call) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(
    ("name", "body"),
    [("page.wav", b"<html>sign in</html>"), ("empty.mp3", b""), ("text.wav", b"hello")],
)
def test_a_file_that_is_not_audio_is_refused_by_name(tmp_path: Path, name: str, body: bytes) -> None:
    (tmp_path / name).write_bytes(body)
    for path in (tmp_path, tmp_path / name):
        with pytest.raises(ConfigurationError, match=name):
            load_library(path)


def test_a_path_without_recordings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not exist"):
        load_library(tmp_path / "nowhere")
    with pytest.raises(ConfigurationError, match="contains no recorded calls"):
        load_library(tmp_path)


def test_the_calls_that_come_with_the_service_can_be_loaded() -> None:
    assert len(load_library(bundled_calls()).calls) >= 5
