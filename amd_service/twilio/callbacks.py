"""Parse the form fields of Twilio's callbacks.

Twilio may omit fields, send empty fields, or add new fields without notice. So optional fields become None if they are
absent, blank or invalid. An invalid field is logged. Only the fields that identify the event are required. The raw
callback keeps every field. docs/twilio.md lists the fields that are not parsed.
"""

import re
from collections.abc import Callable, Sequence
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
    Tagging,
    is_sid,
    read_tagging,
)
from amd_service.domain.tagging import CAMPAIGN, TAG
from amd_service.errors import MalformedCallback
from amd_service.telemetry import get_logger
from amd_service.twilio.dates import parse_date

log = get_logger(__name__)

# Maximum fields in a body or query. A request for TwiML has about 30 fields.
MAX_FIELDS = 1000
# Longer statuses and sources are cut to this number of characters. Twilio's values have at most
# about 20 characters.
_MAX_WORD = 64
# The limit for From and To is higher, because From and To can be SIP addresses.
_MAX_ADDRESS = 320
# Nine digits always fit into Postgres' integer. int() alone also accepts "1_0", "+1", " 1" and digits of other scripts.
_NUMBER = re.compile(r"[0-9]{1,9}")

_T = TypeVar("_T")
_Sid = TypeVar("_Sid", AccountSid, CallSid, RecordingSid, ConferenceSid)


def parse_form(body: bytes) -> tuple[tuple[str, str], ...]:
    """Decode a urlencoded body. Keeps the order, blank values and spaces.

    Bytes that are not UTF-8 become surrogate escapes (PEP 383), so `encode(errors="surrogateescape")` returns the
    bytes as sent. `signature.verify` replaces the surrogate escapes. An invalid percent-encoding stays as sent. Raises
    MalformedCallback for a body with more than 1000 fields.
    """
    text = body.decode("utf-8", "surrogateescape")
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="surrogateescape", max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise MalformedCallback(f"the body has more than {MAX_FIELDS} fields") from error
    return tuple((_rejoin(name), _rejoin(value)) for name, value in pairs)


def _rejoin(text: str) -> str:
    """Decode characters of which one byte was sent as it is and another byte percent-encoded."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")


def parse_tagging(query_string: bytes) -> tuple[Tagging, tuple[str, ...]]:
    """Read campaign and tags from the query of a callback URL. Raises nothing, because a callback must not be lost.

    Returns also the names of the parameters with an invalid value.
    """
    try:
        pairs = parse_qsl(query_string.decode("latin-1"), max_num_fields=MAX_FIELDS)
    except ValueError:  # too many parameters
        return Tagging(), (CAMPAIGN, TAG)
    return read_tagging(pairs)


def parse_status(parameters: Sequence[tuple[str, str]]) -> StatusCallback:
    """Parse a call status callback. If a field is repeated, its first value that is not blank is used.

    Raises MalformedCallback if AccountSid, CallSid or CallStatus is missing or malformed. An unknown CallStatus is
    accepted.
    """
    fields = _Fields(parameters)
    if "CallStatus" not in fields and "AnsweredBy" in fields:
        raise MalformedCallback("CallStatus is missing: send asynchronous AMD results to /twilio/amd")
    parsed = StatusCallback(
        account_sid=fields.sid("AccountSid", "AC", AccountSid),
        call_sid=fields.sid("CallSid", "CA", CallSid),
        call_status=fields.required("CallStatus"),
        sequence_number=fields.number("SequenceNumber"),
        timestamp=fields.moment("Timestamp"),
        parent_call_sid=fields.optional_sid("ParentCallSid", "CA", CallSid),
        direction=fields.text("Direction"),
        from_number=fields.text("From", _MAX_ADDRESS),
        to_number=fields.text("To", _MAX_ADDRESS),
        duration_s=fields.number("CallDuration"),  # `Duration` has the billed minutes
        answered_by=fields.text("AnsweredBy"),
        machine_detection_ms=fields.number("MachineDetectionDuration"),
        sip_response_code=fields.number("SipResponseCode"),
        error_code=fields.number("ErrorCode"),
        billed_min=fields.number("Duration"),
        recording_sid=fields.optional_sid("RecordingSid", "RE", RecordingSid),
    )
    fields.log_unreadable(parsed.call_sid)
    return parsed


def parse_amd(parameters: Sequence[tuple[str, str]]) -> AmdCallback:
    """Parse a callback of Twilio's asynchronous answering-machine detection. This callback has no CallStatus.

    Raises MalformedCallback if AccountSid, CallSid or AnsweredBy is missing or malformed. An unknown AnsweredBy is
    accepted.
    """
    fields = _Fields(parameters)
    parsed = AmdCallback(
        account_sid=fields.sid("AccountSid", "AC", AccountSid),
        call_sid=fields.sid("CallSid", "CA", CallSid),
        answered_by=fields.required("AnsweredBy"),
        machine_detection_ms=fields.number("MachineDetectionDuration"),
    )
    fields.log_unreadable(parsed.call_sid)
    return parsed


def parse_recording(parameters: Sequence[tuple[str, str]]) -> RecordingCallback:
    """Parse a recording status callback. If a field is repeated, its first value that is not blank is used.

    RecordingUrl is ignored, because download URLs are built from SIDs. Raises MalformedCallback if AccountSid, CallSid,
    RecordingSid or RecordingStatus is missing or malformed. CallSid may be missing if there is a ConferenceSid. An
    unknown RecordingStatus is accepted.
    """
    fields = _Fields(parameters)
    conference_sid = fields.optional_sid("ConferenceSid", "CF", ConferenceSid)
    has_only_conference = conference_sid is not None and "CallSid" not in fields
    parsed = RecordingCallback(
        account_sid=fields.sid("AccountSid", "AC", AccountSid),
        call_sid=None if has_only_conference else fields.sid("CallSid", "CA", CallSid),
        recording_sid=fields.sid("RecordingSid", "RE", RecordingSid),
        recording_status=fields.required("RecordingStatus"),
        source=fields.text("RecordingSource"),
        track=fields.text("RecordingTrack"),
        channels=fields.number("RecordingChannels"),
        started_at=fields.moment("RecordingStartTime"),
        duration_s=fields.number("RecordingDuration"),
        error_code=fields.number("ErrorCode"),
        conference_sid=conference_sid,
    )
    fields.log_unreadable(parsed.call_sid)
    return parsed


class _Fields:
    """The first value of each field that is not blank. Records the names of optional fields that are invalid."""

    def __init__(self, parameters: Sequence[tuple[str, str]]) -> None:
        self._values: dict[str, str] = {}
        self._unreadable: list[str] = []
        for name, value in parameters:
            if value and not value.isspace():
                self._values.setdefault(name, value.strip())

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def sid(self, name: str, prefix: str, kind: type[_Sid]) -> _Sid:
        value = self._values.get(name, "")
        if not is_sid(value, prefix):
            raise MalformedCallback(f"{name} must be {prefix} followed by 32 hexadecimal digits")
        return kind(value)

    def optional_sid(self, name: str, prefix: str, kind: type[_Sid]) -> _Sid | None:
        return self._parse(name, lambda value: kind(value) if is_sid(value, prefix) else None)

    def required(self, name: str) -> str:
        value = self.text(name)
        if value is None:
            raise MalformedCallback(f"{name} is missing")
        return value

    def text(self, name: str, max_length: int = _MAX_WORD) -> str | None:
        value = self._values.get(name)
        return None if value is None else value[:max_length]

    def number(self, name: str) -> int | None:
        return self._parse(name, lambda value: int(value) if _NUMBER.fullmatch(value) else None)

    def moment(self, name: str) -> datetime | None:
        return self._parse(name, parse_date)

    def _parse(self, name: str, parse: Callable[[str], _T | None]) -> _T | None:
        value = self._values.get(name)
        parsed = None if value is None else parse(value)
        if value is not None and parsed is None:
            self._unreadable.append(name)
        return parsed

    def log_unreadable(self, call_sid: CallSid | None) -> None:
        """Log the names of the invalid fields. The values can be personal, so only the raw callback has them."""
        if self._unreadable:
            log.warning("invalid callback fields, ignored", fields=self._unreadable, call_sid=call_sid)
