"""Decide from RecordingSource and RecordingTrack which side of a call a recording contains."""

from typing import Protocol

from amd_service.domain import RecordingSource


class Recorded(Protocol):
    """A recording with Twilio's RecordingSource and RecordingTrack."""

    @property
    def source(self) -> str | None: ...
    @property
    def track(self) -> str | None: ...


def is_one_sided(recording: Recorded) -> bool:
    """Whether the recording contains only the called party.

    `RecordingTrack=inbound` is the audio that Twilio receives from the phone of the recorded leg. `<Record>` is always
    mono with the callee's voice. `<Dial>` records the parent leg, so its track does not tell whether the called party,
    the child leg, is in the recording.
    """
    if recording.source == RecordingSource.DIAL_VERB:
        return False
    return recording.track == "inbound" or recording.source == RecordingSource.RECORD_VERB


def holds_only_our_side(recording: Recorded) -> bool:
    """Whether the recording cannot contain the called party."""
    return recording.track == "outbound" and recording.source != RecordingSource.DIAL_VERB
