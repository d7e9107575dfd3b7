"""The recordings that the simulated Twilio plays: loading, the choice for a placed call, and the course of the call."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

from amd_service.detection.audio.decode import decode
from amd_service.detection.audio.file_suffixes import CONTENT_TYPES
from amd_service.domain import (
    TERMINAL_CALL_STATUSES,
    TERMINAL_RECORDING_STATUSES,
    CallStatus,
    RecordingSource,
    RecordingStatus,
)
from amd_service.errors import ConfigurationError, Undecodable
from amd_service.simulator.called_party_audio import MAX_S
from amd_service.simulator.recorded_calls import (
    MediaOptions,
    RecordedCall,
    RecordedCallback,
    load_call,
    load_calls,
)
from amd_service.simulator.twilio.call_simulation import CallScenario

STATUS_PATH, RECORDING_PATH, AMD_PATH = "/twilio/status", "/twilio/recording", "/twilio/amd"


@dataclass(slots=True)
class CallLibrary:
    """The recorded calls of one `simulate` command."""

    calls: Sequence[RecordedCall]
    _turns: Iterator[RecordedCall] = field(init=False)

    def __post_init__(self) -> None:
        self._turns = cycle(self.calls)

    def choose(self, number: str) -> RecordedCall:
        """Return the recorded call to `number`. For a number without a recorded call, return all calls in turn."""
        return next((call for call in self.calls if dialled_number(call) == number), None) or next(self._turns)


def load_library(path: Path) -> CallLibrary:
    """Load an audio file, a folder of audio files, or recorded calls in the format of `fixtures/calls`.

    Raises ConfigurationError if `path` contains no recording, or a file that is not audio.
    """
    if path.is_file():
        return CallLibrary([_call_of_file(path)])
    if (path / "callbacks.jsonl").is_file():
        return CallLibrary([load_call(path)])
    if not path.is_dir():
        raise ConfigurationError(f"{path} does not exist: name an audio file, or a folder of recordings")
    files = [file for file in sorted(path.iterdir()) if file.suffix.lower() in CONTENT_TYPES]
    return CallLibrary([_call_of_file(file) for file in files] if files else load_calls(path))


def dialled_number(call: RecordedCall) -> str | None:
    """Return the number that was called in a recorded call; None if its callbacks name none."""
    return _fields(call, STATUS_PATH).get("To")


def scenario_of(call: RecordedCall) -> CallScenario:
    """Return the course of a call that ends, is recorded and is detected by Twilio as in the recorded call."""
    recording, amd = _fields(call, RECORDING_PATH), _fields(call, AMD_PATH)
    return CallScenario(
        ending=_last_of(call, "CallStatus", TERMINAL_CALL_STATUSES) or CallStatus.COMPLETED,
        media_file=call.media_file(),
        recording_status=_last_of(call, "RecordingStatus", TERMINAL_RECORDING_STATUSES) or RecordingStatus.COMPLETED,
        recording_s=round(audio_seconds(call)),
        recording_source=recording.get("RecordingSource", RecordingSource.OUTBOUND_API),
        track=recording.get("RecordingTrack"),
        channels=2 if recording.get("RecordingChannels") == "2" else 1,
        answered_by=amd.get("AnsweredBy", "unknown"),
    )


def audio_seconds(call: RecordedCall) -> float:
    """Return the length of the recording, at most MAX_S; 0 without audio."""
    if call.recording is None:
        return 0.0
    try:
        tracks = decode(call.recording, content_type=call.content_type, max_s=MAX_S)
    except Undecodable:
        return 0.0
    return float(tracks.samples.shape[1]) / tracks.rate_hz


def _call_of_file(path: Path) -> RecordedCall:
    """Return an answered call with this recording: one channel contains only the called party."""
    content_type = CONTENT_TYPES.get(path.suffix.lower())
    try:
        body = path.read_bytes()
        channels = len(decode(body, content_type=content_type, max_s=1.0).samples)
    except (OSError, Undecodable) as error:
        raise ConfigurationError(f"{path} is not a recording: {error}") from error
    form = [("RecordingSource", RecordingSource.OUTBOUND_API.value), ("RecordingChannels", str(channels))]
    form.append(("RecordingTrack", "inbound" if channels == 1 else "both"))
    callback = RecordedCallback(path=RECORDING_PATH, form=form)
    return RecordedCall(path.name, (callback,), {}, body, content_type or "audio/x-wav", MediaOptions())


def _fields(call: RecordedCall, path: str) -> dict[str, str]:
    """Return the fields of all callbacks with this path. A later callback replaces the fields of an earlier one."""
    return {name: value for callback in call.callbacks if callback.path == path for name, value in callback.form}


def _last_of(call: RecordedCall, name: str, values: Collection[str]) -> str | None:
    """Return the last value of a field that is one of `values`; None without such a value."""
    given = [value for callback in call.callbacks for field_name, value in callback.form if field_name == name]
    return next((value for value in reversed(given) if value in values), None)
