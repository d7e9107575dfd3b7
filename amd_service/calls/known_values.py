"""The values that Twilio documents for its parameters. Other values are stored unchanged, and counted in a metric."""

from collections.abc import Mapping

from amd_service.domain import (
    AmdCallback,
    CallStatus,
    RecordingCallback,
    RecordingSource,
    RecordingStatus,
    StatusCallback,
)

# Twilio sends `machine_start` for MachineDetection=Enable. For MachineDetection=DetectMessageEnd it sends the values
# that begin with `machine_end`.
ANSWERED_BY = frozenset(
    {"human", "machine_start", "machine_end_beep", "machine_end_silence", "machine_end_other", "fax", "unknown"}
)
# Made once, because each callback is compared with them.
_CALL_STATUSES = frozenset(CallStatus)
_RECORDING_STATUSES = frozenset(RecordingStatus)
_RECORDING_SOURCES = frozenset(RecordingSource)


def unknown_values(event: StatusCallback | RecordingCallback | AmdCallback) -> dict[str, str]:
    """Return the undocumented values in an event, by parameter name."""
    return {
        name: value for name, (value, known) in _closed_sets(event).items() if value is not None and value not in known
    }


def _closed_sets(
    event: StatusCallback | RecordingCallback | AmdCallback,
) -> Mapping[str, tuple[str | None, frozenset[str]]]:
    match event:
        case StatusCallback():
            return {
                "CallStatus": (event.call_status, _CALL_STATUSES),
                "AnsweredBy": (event.answered_by, ANSWERED_BY),
            }
        case RecordingCallback():
            return {
                "RecordingStatus": (event.recording_status, _RECORDING_STATUSES),
                "RecordingSource": (event.source, _RECORDING_SOURCES),
            }
        case AmdCallback():
            return {"AnsweredBy": (event.answered_by, ANSWERED_BY)}
