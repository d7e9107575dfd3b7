"""Convert Twilio's REST resources to callbacks.

Data from the API is stored like a callback. Only fields that do not change after the end of a call are kept. So an
ended call that is fetched twice gives the same callback twice, and the second callback is ignored as a duplicate.
"""

from datetime import datetime
from typing import Any

from twilio.rest.api.v2010.account.call import CallInstance

from amd_service.domain import REST_ROUTE, CallSid, RawCallback, RecordingCallback, StatusCallback, is_sid
from amd_service.twilio.callbacks import parse_recording, parse_status


def call_event(call: CallInstance) -> tuple[RawCallback, StatusCallback]:
    """Convert a Call resource to a status callback. Raises MalformedCallback if a SID or the status is missing."""
    pairs = _pairs(
        AccountSid=call.account_sid,
        CallSid=call.sid,
        ParentCallSid=call.parent_call_sid,
        CallStatus=call.status,
        Direction=call.direction,
        From=getattr(call, "_from"),  # noqa: B009 - a public attribute of the package
        To=call.to,
        Timestamp=call.end_time,
        CallDuration=call.duration,
        AnsweredBy=call.answered_by,
    )
    return RawCallback(REST_ROUTE, pairs), parse_status(pairs)


def recording_event(recording: Any) -> tuple[RawCallback, RecordingCallback]:
    """Convert a Recording resource to a recording callback.

    `recording` must come from the list of a call's recordings, because only this list has the track.
    Raises MalformedCallback if a SID or the status is missing.
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


def call_sid_of(recording: Any) -> CallSid | None:
    """Return the CallSid of a recording, or None for a conference recording or malformed SIDs."""
    call_sid = recording.call_sid
    well_formed = is_sid(str(call_sid), "CA") and is_sid(str(recording.sid), "RE")
    return CallSid(call_sid) if well_formed else None


def _pairs(**fields: object) -> tuple[tuple[str, str], ...]:
    """Convert fields to the form parameters of a callback: dates in RFC 2822, without absent fields."""
    return tuple(
        (name, value.strftime("%a, %d %b %Y %H:%M:%S +0000") if isinstance(value, datetime) else str(value))
        for name, value in fields.items()
        if value is not None
    )
