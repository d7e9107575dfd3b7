"""The statuses that Twilio documents for calls and recordings.

Other statuses are stored unchanged, so fields for statuses have the type `str`.
"""

from enum import StrEnum


class CallStatus(StrEnum):
    """Values of Twilio's CallStatus, from the docs of callbacks (voice/api/call-resource) and twilio_api_v2010.json."""

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
    """Values of Twilio's RecordingStatus, from the docs of callbacks and twilio_api_v2010.json."""

    IN_PROGRESS = "in-progress"
    PAUSED = "paused"
    STOPPED = "stopped"
    PROCESSING = "processing"
    COMPLETED = "completed"
    ABSENT = "absent"
    FAILED = "failed"
    DELETED = "deleted"


TERMINAL_RECORDING_STATUSES = (RecordingStatus.COMPLETED, RecordingStatus.ABSENT, RecordingStatus.FAILED)
