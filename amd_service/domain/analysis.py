"""States of an analysis, and the job that a worker claims."""

from dataclasses import dataclass
from enum import StrEnum

from amd_service.domain.identifiers import AccountSid, CallSid, RecordingSid


class AnalysisState(StrEnum):
    """Progress of a call's analysis."""

    WAITING = "waiting"
    QUEUED = "queued"
    RUNNING = "running"
    JUDGED = "judged"
    FAILED = "failed"
    NOT_APPLICABLE = "not_applicable"


class Failure(StrEnum):
    """Reason why a call has no verdict. A failure is never stored as a label."""

    NO_RECORDING = "no_recording"
    RECORDING_FAILED = "recording_failed"
    MEDIA_MISSING = "media_missing"
    UNAUTHORISED = "unauthorised"
    ENCRYPTED = "encrypted"
    EXTERNAL_STORAGE = "external_storage"
    UNDECODABLE = "undecodable"
    MODEL_FAILED = "model_failed"
    GAVE_UP = "gave_up"


class Source(StrEnum):
    """Kind of audio that a verdict was based on. `SHADOW`: a run of another model, which is never a verdict."""

    RECORDING = "recording"
    STREAM = "stream"
    SHADOW = "shadow"


class ShadowOutcome(StrEnum):
    """Outcome for a judged recording that the shadow model should judge too."""

    STORED = "stored"
    KNOWN = "known"
    BUSY = "busy"
    NOT_READY = "not_ready"
    FAILED = "failed"
    SHUTDOWN = "shutdown"


# Sources that a verdict of a call can have.
VERDICT_SOURCES = (Source.RECORDING, Source.STREAM)


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed recording, with the fields that the pipeline needs.

    `locked_by`: token of the claim, made of the worker's name and a random part. A result is stored only if the row
    still has this token. `waited_s`: seconds since the recording was first enqueued, by the database's clock.
    `duration_s`: Twilio's RecordingDuration, or None if Twilio sent no duration. `is_last_attempt`: whether no further
    attempt follows. `has_verdict`: the recording has a verdict from an earlier attempt and is judged again.
    `traceparent`: span of the callback that enqueued the recording, or None if traces were off.
    """

    recording_sid: RecordingSid
    account_sid: AccountSid
    call_sid: CallSid
    source: str | None
    track: str | None
    attempts: int
    locked_by: str
    waited_s: float
    duration_s: int | None = None
    is_last_attempt: bool = False
    has_verdict: bool = False
    traceparent: str | None = None

    @property
    def log_fields(self) -> dict[str, object]:
        """Fields of every log line about this job."""
        return {"call_sid": self.call_sid, "recording_sid": self.recording_sid, "attempt": self.attempts}
