"""The values that Twilio's documentation names for what it sends; others are kept, and noticed."""

from collections.abc import Mapping

from amd_service.domain import AmdCallback, RecordingCallback, RecordingSource, StatusCallback

# Those of callbacks (voice/api/call-resource) and of the API, which disagree: the union (twilio_api_v2010.json).
CALL_STATUSES = frozenset(
    {"queued", "initiated", "ringing", "in-progress", "completed", "busy", "failed", "no-answer", "canceled"}
)
RECORDING_STATUSES = frozenset(
    {"in-progress", "paused", "stopped", "processing", "completed", "absent", "failed", "deleted"}
)
RECORDING_SOURCES = frozenset(RecordingSource)
# `machine_start` with MachineDetection=Enable, the other machines with DetectMessageEnd.
ANSWERED_BY = frozenset(
    {"human", "machine_start", "machine_end_beep", "machine_end_silence", "machine_end_other", "fax", "unknown"}
)


def unknown_values(event: StatusCallback | RecordingCallback | AmdCallback) -> dict[str, str]:
    """By name of the parameter, the event's values that Twilio's documentation does not name."""
    return {
        name: value for name, (value, known) in _closed_sets(event).items() if value is not None and value not in known
    }


def _closed_sets(
    event: StatusCallback | RecordingCallback | AmdCallback,
) -> Mapping[str, tuple[str | None, frozenset[str]]]:
    match event:
        case StatusCallback():
            return {
                "CallStatus": (event.call_status, CALL_STATUSES),
                "AnsweredBy": (event.answered_by, ANSWERED_BY),
            }
        case RecordingCallback():
            return {
                "RecordingStatus": (event.recording_status, RECORDING_STATUSES),
                "RecordingSource": (event.source, RECORDING_SOURCES),
            }
        case AmdCallback():
            return {"AnsweredBy": (event.answered_by, ANSWERED_BY)}
