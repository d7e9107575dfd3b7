"""Twilio's callbacks, parsed and unparsed."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from amd_service.domain.identifiers import AccountSid, CallSid, ConferenceSid, RecordingSid
from amd_service.domain.tagging import UNTAGGED, Tagging

# Route of callbacks that are built from responses of Twilio's REST API. Such callbacks have no signature.
REST_ROUTE = "rest"
# Route of the start message of a live stream. It is stored only if it names a campaign or tags.
STREAM_ROUTE = "stream"


class RecordingSource(StrEnum):
    """Values of Twilio's RecordingSource. The channel of the called party depends on this value."""

    OUTBOUND_API = "OutboundAPI"
    DIAL_VERB = "DialVerb"
    START_CALL_RECORDING_API = "StartCallRecordingAPI"
    RECORD_VERB = "RecordVerb"
    CONFERENCE = "Conference"
    START_CONFERENCE_RECORDING_API = "StartConferenceRecordingAPI"
    TRUNKING = "Trunking"


@dataclass(frozen=True, slots=True)
class StatusCallback:
    """A parsed call status callback. Empty and absent parameters are None.

    `recording_sid`: sent with the status `completed` for calls that were placed with Record=true. The recording may not
    be available for download yet. `duration_s`: seconds of the call. `billed_min`: billed minutes of the call.
    """

    account_sid: AccountSid
    call_sid: CallSid
    call_status: str
    sequence_number: int | None = None
    timestamp: datetime | None = None
    parent_call_sid: CallSid | None = None
    direction: str | None = None
    from_number: str | None = None
    to_number: str | None = None
    duration_s: int | None = None
    answered_by: str | None = None
    machine_detection_ms: int | None = None
    sip_response_code: int | None = None
    error_code: int | None = None
    billed_min: int | None = None
    recording_sid: RecordingSid | None = None


@dataclass(frozen=True, slots=True)
class AmdCallback:
    """A result of Twilio's asynchronous answering-machine detection.

    `machine_detection_ms`: duration of the detection in milliseconds.
    """

    account_sid: AccountSid
    call_sid: CallSid
    answered_by: str
    machine_detection_ms: int | None = None


@dataclass(frozen=True, slots=True)
class RecordingCallback:
    """A parsed recording status callback. Empty and absent parameters are None.

    `call_sid` is None when a conference recording names only its conference.
    """

    account_sid: AccountSid
    call_sid: CallSid | None
    recording_sid: RecordingSid
    recording_status: str
    source: str | None = None
    track: str | None = None
    channels: int | None = None
    started_at: datetime | None = None
    duration_s: int | None = None
    error_code: int | None = None
    conference_sid: ConferenceSid | None = None


@dataclass(frozen=True, slots=True)
class RawCallback:
    """An accepted callback before parsing.

    `route`: `status`, `recording`, `amd`, `rest` or `stream`. `parameters`: decoded form fields in order. `tagging`:
    campaign and tags of the callback URL; for `rest`, those of the call request of this service. `traceparent`: the
    span of the request, or None while traces are off.
    """

    route: str
    parameters: tuple[tuple[str, str], ...]
    idempotency_token: str | None = None
    tagging: Tagging = UNTAGGED
    traceparent: str | None = None
