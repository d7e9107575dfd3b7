"""The statuses that Twilio documents for calls and recordings.

A status that is not among them is stored as Twilio sent it. Fields for statuses are therefore typed `str`.
"""

from enum import StrEnum


class CallStatus(StrEnum):
    """Twilio's CallStatus: the union of what callbacks (voice/api/call-resource) and twilio_api_v2010.json name."""

    QUEUED = "queued"
    INITIATED = "initiated"
    RINGING = "ringing"
    IN_PROGRESS = "in-progress"
    COMPLETED = "completed"
    BUSY = "busy"
    FAILED = "failed"
    NO_ANSWER = "no-answer"
    CANCELED = "canceled"


TERMINAL_CALL_STATUSES = (
    CallStatus.COMPLETED,
    CallStatus.BUSY,
    CallStatus.FAILED,
    CallStatus.NO_ANSWER,
    CallStatus.CANCELED,
)


class RecordingStatus(StrEnum):
    """Twilio's RecordingStatus: the union of what callbacks and twilio_api_v2010.json name."""

    IN_PROGRESS = "in-progress"
    PAUSED = "paused"
    STOPPED = "stopped"
    PROCESSING = "processing"
    COMPLETED = "completed"
    ABSENT = "absent"
    FAILED = "failed"
    DELETED = "deleted"


TERMINAL_RECORDING_STATUSES = (RecordingStatus.COMPLETED, RecordingStatus.ABSENT, RecordingStatus.FAILED)
