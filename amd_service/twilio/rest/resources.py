"""Twilio's resources → the same events that callbacks bring.

What the API tells goes through the same intake: as a callback that was never sent. Only fields that do not change by
themselves are kept, so that asking twice about an ended call is a duplicate.
"""

from datetime import datetime
from typing import Any

from twilio.rest.api.v2010.account.call import CallInstance

from amd_service.domain import REST_ROUTE, CallSid, RawCallback, RecordingCallback, StatusCallback, is_sid
from amd_service.twilio.callbacks import parse_recording, parse_status


def call_event(call: CallInstance) -> tuple[RawCallback, StatusCallback]:
    """A Call resource as a status callback. Raises MalformedCallback for one without its SIDs or status."""
    pairs = _pairs(
        AccountSid=call.account_sid,
        CallSid=call.sid,
        ParentCallSid=call.parent_call_sid,
        CallStatus=call.status,
        Direction=call.direction,
        From=getattr(call, "_from"),  # noqa: B009 - the package's public attribute has this name
        To=call.to,
        Timestamp=call.end_time,
        CallDuration=call.duration,
        AnsweredBy=call.answered_by,
    )
    return RawCallback(REST_ROUTE, pairs), parse_status(pairs)


def recording_event(recording: Any) -> tuple[RawCallback, RecordingCallback]:
    """A Recording resource as a recording callback. `recording`: of a call's list, the only one that tells its track.

    Raises MalformedCallback for one without its SIDs or status.
    """
    pairs = _pairs(
        AccountSid=recording.account_sid,
        CallSid=recording.call_sid,
        RecordingSid=recording.sid,
        RecordingStatus=recording.status,
        RecordingSource=recording.source,
        RecordingTrack=recording.track,
        RecordingChannels=recording.channels,
        RecordingStartTime=recording.start_time,
        RecordingDuration=recording.duration,
        ErrorCode=recording.error_code,
    )
    return RawCallback(REST_ROUTE, pairs), parse_recording(pairs)


def call_of(recording: Any) -> CallSid | None:
    """The call a recording belongs to; None for a conference's, or where the SIDs are none."""
    call_sid = recording.call_sid
    well_formed = is_sid(str(call_sid), "CA") and is_sid(str(recording.sid), "RE")
    return CallSid(call_sid) if well_formed else None


def _pairs(**fields: object) -> tuple[tuple[str, str], ...]:
    return tuple((name, _text(value)) for name, value in fields.items() if value is not None)


def _text(value: object) -> str:
    return value.strftime("%a, %d %b %Y %H:%M:%S +0000") if isinstance(value, datetime) else str(value)
