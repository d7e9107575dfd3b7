"""Determine which side of a call a recording contains, from its RecordingSource and RecordingTrack."""

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

    `RecordingTrack=inbound` is the audio that Twilio receives from the phone of the recorded leg. `<Record>` always
    records the called party in one channel. `<Dial>` records the parent leg, but the called party is the child leg. So
    the track of a `<Dial>` recording does not show whether the recording contains the called party.
    """
    if recording.source == RecordingSource.DIAL_VERB:
        return False
    return recording.track == "inbound" or recording.source == RecordingSource.RECORD_VERB


def holds_only_our_side(recording: Recorded) -> bool:
    """Whether the recording contains only our side, without the called party."""
    return recording.track == "outbound" and recording.source != RecordingSource.DIAL_VERB
