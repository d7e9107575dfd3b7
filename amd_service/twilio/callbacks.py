"""Parse the form fields of Twilio's callbacks.

Twilio may omit fields, send empty fields, or add new fields without notice. So optional fields become None if they are
absent, blank or invalid. Only the fields that identify the event are required. The raw callback keeps every field.
docs/twilio.md lists the fields that are not parsed.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypeVar
from urllib.parse import parse_qsl

from amd_service.domain import (
    AccountSid,
    AmdCallback,
    CallSid,
    ConferenceSid,
    RecordingCallback,
    RecordingSid,
    StatusCallback,
    is_sid,
)
from amd_service.errors import MalformedCallback
from amd_service.twilio.dates import parse_date

# Maximum fields in a body or query. A request for TwiML has about 30 fields.
MAX_FIELDS = 1000
# Longer statuses and sources are cut to this number of characters. Twilio's values have at most
# about 20 characters.
_MAX_WORD = 64
# The limit for From and To is higher, because From and To can be SIP addresses.
_MAX_ADDRESS = 320
# Nine digits always fit into Postgres' integer. int() alone also accepts "1_0", "+1", " 1" and digits of other scripts.
_NUMBER = re.compile(r"[0-9]{1,9}")

_Sid = TypeVar("_Sid", AccountSid, CallSid, RecordingSid, ConferenceSid)


def parse_form(body: bytes) -> tuple[tuple[str, str], ...]:
    """Decode a urlencoded body to the names and values that Twilio signed. Keeps the order, blank values and spaces.

    Raises MalformedCallback for a body that is not UTF-8, has more than 1000 fields, or contains a NUL character, which
    Postgres cannot store.
    """
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise MalformedCallback(f"the body is not a UTF-8 form of at most {MAX_FIELDS} fields") from error
    if any("\0" in name or "\0" in value for name, value in pairs):
        raise MalformedCallback("the body contains a NUL character")
    return tuple(pairs)


def parse_status(parameters: Sequence[tuple[str, str]]) -> StatusCallback:
    """Parse a call status callback. If a field is repeated, its first value that is not blank is used.

    Raises MalformedCallback if AccountSid, CallSid or CallStatus is missing or malformed. An unknown CallStatus is
    accepted.
    """
    fields = _first_values(parameters)
    if "CallStatus" not in fields and "AnsweredBy" in fields:
        raise MalformedCallback("CallStatus is missing: send asynchronous AMD results to /twilio/amd")
    return StatusCallback(
        account_sid=_sid(fields, "AccountSid", "AC", AccountSid),
        call_sid=_sid(fields, "CallSid", "CA", CallSid),
        call_status=_required(fields, "CallStatus"),
        sequence_number=_number(fields, "SequenceNumber"),
        timestamp=_moment(fields, "Timestamp"),
        parent_call_sid=_optional_sid(fields, "ParentCallSid", "CA", CallSid),
        direction=_text(fields, "Direction"),
        from_number=_text(fields, "From", _MAX_ADDRESS),
        to_number=_text(fields, "To", _MAX_ADDRESS),
        duration_s=_number(fields, "CallDuration"),  # `Duration` has the billed minutes
        answered_by=_text(fields, "AnsweredBy"),
        machine_detection_ms=_number(fields, "MachineDetectionDuration"),
        sip_response_code=_number(fields, "SipResponseCode"),
        error_code=_number(fields, "ErrorCode"),
        billed_min=_number(fields, "Duration"),
        recording_sid=_optional_sid(fields, "RecordingSid", "RE", RecordingSid),
    )


def parse_amd(parameters: Sequence[tuple[str, str]]) -> AmdCallback:
    """Parse a callback of Twilio's asynchronous answering-machine detection. This callback has no CallStatus.

    Raises MalformedCallback if AccountSid, CallSid or AnsweredBy is missing or malformed. An unknown AnsweredBy is
    accepted.
    """
    fields = _first_values(parameters)
    return AmdCallback(
        account_sid=_sid(fields, "AccountSid", "AC", AccountSid),
        call_sid=_sid(fields, "CallSid", "CA", CallSid),
        answered_by=_required(fields, "AnsweredBy"),
        machine_detection_ms=_number(fields, "MachineDetectionDuration"),
    )


def parse_recording(parameters: Sequence[tuple[str, str]]) -> RecordingCallback:
    """Parse a recording status callback. If a field is repeated, its first value that is not blank is used.

    RecordingUrl is ignored, because download URLs are built from SIDs. Raises MalformedCallback if AccountSid, CallSid,
    RecordingSid or RecordingStatus is missing or malformed. CallSid may be missing if there is a ConferenceSid. An
    unknown RecordingStatus is accepted.
    """
    fields = _first_values(parameters)
    conference_sid = _optional_sid(fields, "ConferenceSid", "CF", ConferenceSid)
    has_only_conference = conference_sid is not None and "CallSid" not in fields
    return RecordingCallback(
        account_sid=_sid(fields, "AccountSid", "AC", AccountSid),
        call_sid=None if has_only_conference else _sid(fields, "CallSid", "CA", CallSid),
        recording_sid=_sid(fields, "RecordingSid", "RE", RecordingSid),
        recording_status=_required(fields, "RecordingStatus"),
        source=_text(fields, "RecordingSource"),
        track=_text(fields, "RecordingTrack"),
        channels=_number(fields, "RecordingChannels"),
        started_at=_moment(fields, "RecordingStartTime"),
        duration_s=_number(fields, "RecordingDuration"),
        error_code=_number(fields, "ErrorCode"),
        conference_sid=conference_sid,
    )


def _first_values(parameters: Sequence[tuple[str, str]]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name, value in parameters:
        if value and not value.isspace():
            fields.setdefault(name, value.strip())
    return fields


def _sid(fields: Mapping[str, str], name: str, prefix: str, kind: type[_Sid]) -> _Sid:
    value = fields.get(name, "")
    if not is_sid(value, prefix):
        raise MalformedCallback(f"{name} must be {prefix} followed by 32 hexadecimal digits")
    return kind(value)


def _optional_sid(fields: Mapping[str, str], name: str, prefix: str, kind: type[_Sid]) -> _Sid | None:
    value = fields.get(name, "")
    return kind(value) if is_sid(value, prefix) else None


def _required(fields: Mapping[str, str], name: str) -> str:
    value = _text(fields, name)
    if value is None:
        raise MalformedCallback(f"{name} is missing")
    return value


def _text(fields: Mapping[str, str], name: str, max_length: int = _MAX_WORD) -> str | None:
    value = fields.get(name)
    return None if value is None else value[:max_length]


def _number(fields: Mapping[str, str], name: str) -> int | None:
    value = fields.get(name, "")
    return int(value) if _NUMBER.fullmatch(value) else None


def _moment(fields: Mapping[str, str], name: str) -> datetime | None:
    return parse_date(fields.get(name, ""))
