"""Table `recording`: one row per recording or live stream. The row is also the job of judging the recording."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from amd_service.calls.tables.base import Base, closed_set
from amd_service.domain import Failure

# `source` of a live stream, in place of Twilio's RecordingSource.
MEDIA_STREAM = "MediaStream"
# `recording_status` of a stream whose connection broke off before its verdict.
BROKEN_OFF = "broken-off"
# SQL condition: Twilio may still store a copy that is no longer needed. Twilio stores no copy of a live stream.
TO_ERASE = f"state = 'done' and erased_at is null and source is distinct from '{MEDIA_STREAM}'"

_UNFINISHED = "state in ('queued', 'running')"
# SQL conditions of the partial indexes. A query must repeat a condition word for word, because Postgres then uses the
# index. Bound values instead of the words would hide the condition from a plan that Postgres prepares for all values.
# FIRST: unfinished, and without a verdict. AGAIN: unfinished, but has a verdict from an earlier attempt.
FIRST = f"{_UNFINISHED} and finished_at is null"
AGAIN = f"{_UNFINISHED} and finished_at is not null"
GIVEN_UP = "state = 'dead'"


class RecordingState(StrEnum):
    """State of the job. `NOTED`: the recording has no audio to fetch yet. `DEAD`: the job was given up."""

    NOTED = "noted"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"


class Recording(Base):
    """One recording of a call, and the job of judging it."""

    __tablename__ = "recording"
    __table_args__ = (
        closed_set("state", RecordingState),
        closed_set("failure", Failure),
        closed_set("last_failure", Failure),
        CheckConstraint("(failure is not null) = (state = 'dead')", name="failure_when_dead"),
        CheckConstraint("(locked_by is not null) = (state = 'running')", name="locked_when_running"),
        CheckConstraint("attempts >= 0", name="attempts"),
        Index(None, "call_sid"),
        # Partial indexes, so that a claim and a requeue stay fast with a million finished rows in the table.
        Index("ix_recording_due_first", "available_at", postgresql_where=text(FIRST)),
        Index("ix_recording_due_again", "available_at", postgresql_where=text(AGAIN)),
        Index("ix_recording_given_up", "recording_sid", postgresql_where=text(GIVEN_UP)),
        Index("ix_recording_to_erase", "erase_after", postgresql_where=text(TO_ERASE)),
        {"comment": "One row per recording. Each row is also the job of judging the recording."},
    )

    recording_sid: Mapped[str] = mapped_column(
        primary_key=True, comment="Twilio's RecordingSid. For a live stream: its StreamSid (MZ…)."
    )
    call_sid: Mapped[str] = mapped_column(ForeignKey("call_log.call_sid"), comment="CallSid of the recorded call.")
    account_sid: Mapped[str] = mapped_column(
        comment="Twilio account or subaccount whose credentials are used to fetch the recording."
    )
    recording_status: Mapped[str | None] = mapped_column(
        comment="Twilio's RecordingStatus: `in-progress`, `completed`, `absent`, `failed`. `completed` "
        "never changes. For a live stream: `completed`, or `broken-off` if the connection was "
        "lost before the verdict. If the status is `broken-off`, the verdict on a recording takes precedence."
    )
    source: Mapped[str | None] = mapped_column(
        comment="Twilio's RecordingSource, e.g. `OutboundAPI` or `DialVerb`. The source determines the "
        "called party's channel. `MediaStream` for a live stream."
    )
    track: Mapped[str | None] = mapped_column(comment="Twilio's RecordingTrack: `inbound`, `outbound` or `both`.")
    channels: Mapped[int | None] = mapped_column(comment="Twilio's RecordingChannels: number of channels.")
    started_at: Mapped[datetime | None] = mapped_column(
        comment="Twilio's RecordingStartTime. The recordings of a call are sorted by this time."
    )
    duration_s: Mapped[int | None] = mapped_column(comment="Twilio's RecordingDuration, in seconds.")
    error_code: Mapped[int | None] = mapped_column(comment="Twilio's ErrorCode. 0 means no error.")
    state: Mapped[str] = mapped_column(
        comment="`noted` (no audio to fetch yet), `queued`, `running`, `done` (has a verdict), `dead` "
        "(given up without a verdict, see failure)."
    )
    attempts: Mapped[int] = mapped_column(
        server_default=text("0"),
        comment="Number of attempts to judge the recording. Released attempts are not counted.",
    )
    available_at: Mapped[datetime] = mapped_column(
        server_default=func.now(),
        comment="Earliest time at which a worker may claim the recording: time of enqueueing, end of the "
        "retry delay, or end of the current worker's lease.",
    )
    locked_by: Mapped[str | None] = mapped_column(
        comment="Worker that has claimed the recording, followed by `#` and a random token of the claim. "
        "Null unless state is `running`."
    )
    last_error: Mapped[str | None] = mapped_column(comment="Error of the latest failed attempt.")
    last_failure: Mapped[str | None] = mapped_column(
        comment="Value that is written to the column failure if no attempt is left after the latest error. If state is "
        "`done`: reason why the recording could not be judged again. Its earlier verdict stays."
    )
    failure: Mapped[str | None] = mapped_column(
        comment="Reason why the recording could not be judged. Has a value if and only if state is `dead`."
    )
    queued_at: Mapped[datetime | None] = mapped_column(
        comment="Time when the recording was enqueued or requeued. A retry does not change this time."
    )
    finished_at: Mapped[datetime | None] = mapped_column(
        comment="Time when state became `done` or `dead`. While a recording that has a verdict is judged again, this "
        "is still the time of its last verdict. A worker claims such recordings last."
    )
    erase_after: Mapped[datetime] = mapped_column(
        server_default=func.now(),
        comment=("Earliest time of the next attempt to delete Twilio's copy, if AMD_DELETE_RECORDINGS is on."),
    )
    erased_at: Mapped[datetime | None] = mapped_column(
        comment="Time when Twilio's copy was deleted, or was found to be missing."
    )
    traceparent: Mapped[str | None] = mapped_column(
        comment="Span of the latest callback before the first attempt, as a traceparent of W3C Trace Context. The "
        "spans of the attempts belong to the same trace. Null if traces were off."
    )
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), comment="Time when this row was inserted.")
    updated_at: Mapped[datetime] = mapped_column(
        server_default=func.now(), onupdate=func.now(), comment="Time when this row last changed."
    )
