"""Loads recorded calls: callbacks, recording, media options, and expected row of `call_log`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from amd_service.detection.audio.file_suffixes import CONTENT_TYPES
from amd_service.errors import ConfigurationError
from amd_service.simulator.twilio.media_host import NOT_FOUND, MediaFile

_CONTENT_TYPES = {**CONTENT_TYPES, ".xml": "application/xml"}


class RecordedCallback(BaseModel):
    """A line of `callbacks.jsonl`. Placeholders in values: {account_sid} {call_sid} {recording_sid} {recording_url}.

    `query`: query of the callback URL, e.g. `campaign=spring&tag=vip`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(pattern="^/")
    query: str = ""
    form: list[tuple[str, str]]

    @property
    def target(self) -> str:
        """Path and query of the callback URL."""
        return f"{self.path}?{self.query}" if self.query else self.path

    def fill(self, values: Mapping[str, str]) -> list[tuple[str, str]]:
        """Return the form with each placeholder replaced by its value."""
        filled = []
        for name, value in self.form:
            for placeholder, replacement in values.items():
                value = value.replace(placeholder, replacement)
            filled.append((name, value))
        return filled


class MediaOptions(BaseModel):
    """`media.json`: how the simulated Twilio serves the recording.

    `not_found_first`: number of 404 responses before the recording. `dual_available`: whether two channels can be
    requested. The default is True for a WAV file with two channels.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    not_found_first: int = 0
    dual_available: bool | None = None
    content_type: str | None = None


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """One folder of `fixtures/calls`. `recording`: None if Twilio has no recording of the call."""

    name: str
    callbacks: tuple[RecordedCallback, ...]
    expected: Mapping[str, JsonValue]
    recording: bytes | None
    content_type: str
    media_options: MediaOptions

    def media_file(self) -> MediaFile | None:
        if self.recording is None:
            return None
        dual = self.media_options.dual_available
        return MediaFile(
            self.recording,
            content_type=self.media_options.content_type or self.content_type,
            dual_available=count_wav_channels(self.recording) == 2 if dual is None else dual,
            scripted=[NOT_FOUND] * self.media_options.not_found_first,
        )


def load_calls(directory: Path) -> list[RecordedCall]:
    """Load the recorded calls below `directory`, by name. Raises ConfigurationError that names an invalid folder."""
    calls = [load_call(script.parent) for script in sorted(directory.glob("*/callbacks.jsonl"))]
    if not calls:
        if (directory / "callbacks.jsonl").exists():
            raise ConfigurationError(f"{directory} is a single recorded call: use its parent folder instead")
        raise ConfigurationError(f"{directory} contains no recorded calls (folders with a callbacks.jsonl)")
    return calls


def load_call(folder: Path) -> RecordedCall:
    """Load the recorded call of one folder. Raises ConfigurationError if a file is missing or invalid."""
    recordings = sorted(path for path in folder.glob("recording.*") if path.suffix in _CONTENT_TYPES)
    recording = recordings[0] if recordings else None
    options_file = folder / "media.json"
    try:
        options = (
            MediaOptions.model_validate_json(options_file.read_bytes()) if options_file.exists() else MediaOptions()
        )
        lines = (folder / "callbacks.jsonl").read_text(encoding="utf-8").splitlines()
        return RecordedCall(
            name=folder.name,
            callbacks=tuple(RecordedCallback.model_validate_json(line) for line in lines if line.strip()),
            expected=_read_expected(folder / "expected.json"),
            recording=None if recording is None else recording.read_bytes(),
            content_type=_CONTENT_TYPES[".wav" if recording is None else recording.suffix],
            media_options=options,
        )
    except (OSError, ValueError, ValidationError) as error:
        raise ConfigurationError(f"{folder} is not a recorded call: {error}") from error


def _read_expected(path: Path) -> dict[str, JsonValue]:
    expected = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(expected, dict) or not expected:
        raise ValueError(f"{path.name} must be an object with at least one key")
    return expected


def count_wav_channels(recording: bytes) -> int:
    """Return the number of channels in a WAV header, and 1 for all other files."""
    at = recording[:4096].find(b"fmt ") if recording[:4] == b"RIFF" else -1
    return 1 if at < 0 else int.from_bytes(recording[at + 10 : at + 12], "little")
