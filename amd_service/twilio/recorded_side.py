"""Which side of a call a recording holds, by its RecordingSource and RecordingTrack."""

from typing import Protocol

from amd_service.domain import RecordingSource


class Recorded(Protocol):
    """What Twilio says of a recording: RecordingSource and RecordingTrack."""

    @property
    def source(self) -> str | None: ...
    @property
    def track(self) -> str | None: ...


def is_one_sided(recording: Recorded) -> bool:
    """Whether the recording holds the called party alone.

    `RecordingTrack=inbound` is what Twilio receives from the phone of the recorded leg, and `<Record>` is always
    mono with the callee's voice. For `<Dial>` the recorded leg is the parent, so its tracks say nothing about
    the called party, who is the child.
    """
    if recording.source == RecordingSource.DIAL_VERB:
        return False
    return recording.track == "inbound" or recording.source == RecordingSource.RECORD_VERB


def holds_only_our_side(recording: Recorded) -> bool:
    """Whether the called party cannot be on the recording at all."""
    return recording.track == "outbound" and recording.source != RecordingSource.DIAL_VERB
