"""`recording`: one row per RecordingSid, and the row is the job."""

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
# SQL: Twilio may still hold a copy that is no longer needed. It never has one of a live stream.
TO_ERASE = f"state = 'done' and erased_at is null and source is distinct from '{MEDIA_STREAM}'"


class RecordingState(StrEnum):
    """Progress of the work on a recording. `NOTED`: there is nothing to fetch yet. `DEAD`: given up."""

    NOTED = "noted"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"


class Recording(Base):
    """One recording of a call and, at the same time, the job of judging it."""

    __tablename__ = "recording"
    __table_args__ = (
        closed_set("state", RecordingState),
        closed_set("failure", Failure),
        closed_set("last_failure", Failure),
        CheckConstraint("(failure is not null) = (state = 'dead')", name="failure_when_dead"),
        CheckConstraint("(locked_by is not null) = (state = 'running')", name="locked_when_running"),
        CheckConstraint("attempts >= 0", name="attempts"),
        Index(None, "call_sid"),
        # Partial: claiming stays as fast beside a million finished rows as with none.
        Index("ix_recording_due", "available_at", postgresql_where=text("state in ('queued', 'running')")),
        Index("ix_recording_to_erase", "erase_after", postgresql_where=text(TO_ERASE)),
        {"comment": "One row per recording, which is also the job of judging it."},
    )

    recording_sid: Mapped[str] = mapped_column(
        primary_key=True, comment="Twilio's RecordingSid; for a live stream its StreamSid, MZ…."
    )
    call_sid: Mapped[str] = mapped_column(ForeignKey("call_log.call_sid"), comment="The call it belongs to.")
    account_sid: Mapped[str] = mapped_column(comment="Twilio account or subaccount whose credentials fetch it.")
    recording_status: Mapped[str | None] = mapped_column(
        comment="Twilio's RecordingStatus: `in-progress`, `completed`, `absent`, `failed`. `completed` stays. "
        "For a live stream `completed`, or `broken-off`: lost before its verdict, so that a recording's verdict "
        "comes first."
    )
    source: Mapped[str | None] = mapped_column(
        comment="Twilio's RecordingSource, e.g. `OutboundAPI` or `DialVerb`: decides the called party's channel. "
        "`MediaStream` for a live stream."
    )
    track: Mapped[str | None] = mapped_column(comment="Twilio's RecordingTrack: `inbound`, `outbound` or `both`.")
    channels: Mapped[int | None] = mapped_column(comment="Twilio's RecordingChannels.")
    started_at: Mapped[datetime | None] = mapped_column(
        comment="Twilio's RecordingStartTime; orders the recordings of a call."
    )
    duration_s: Mapped[int | None] = mapped_column(comment="Twilio's RecordingDuration, in seconds.")
    error_code: Mapped[int | None] = mapped_column(comment="Twilio's ErrorCode; 0 means none.")
    state: Mapped[str] = mapped_column(
        comment="`noted` (nothing to fetch yet), `queued`, `running`, `done` (has a verdict), `dead` (given up, see "
        "failure)."
    )
    attempts: Mapped[int] = mapped_column(server_default=text("0"), comment="How often a worker has claimed it.")
    available_at: Mapped[datetime] = mapped_column(
        server_default=func.now(),
        comment="When it may be claimed: now, after a retry's delay, or when the lease of its worker runs out.",
    )
    locked_by: Mapped[str | None] = mapped_column(
        comment="The worker that holds it, `#` and a random token of this claim; null unless running."
    )
    last_error: Mapped[str | None] = mapped_column(comment="Error of the latest attempt that failed.")
    last_failure: Mapped[str | None] = mapped_column(
        comment="The failure that is written if the attempts run out on the latest error."
    )
    failure: Mapped[str | None] = mapped_column(comment="Why it could not be judged; not null exactly when dead.")
    queued_at: Mapped[datetime | None] = mapped_column(
        comment="When it was first enqueued; requeueing it sets a new time."
    )
    finished_at: Mapped[datetime | None] = mapped_column(comment="When it became done or dead.")
    erase_after: Mapped[datetime] = mapped_column(
        server_default=func.now(),
        comment="When the deletion of Twilio's copy may next be tried, if AMD_DELETE_RECORDINGS is on.",
    )
    erased_at: Mapped[datetime | None] = mapped_column(
        comment="When Twilio's copy was deleted, or was found to be gone."
    )
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), comment="When its first callback came in.")
    updated_at: Mapped[datetime] = mapped_column(
        server_default=func.now(), onupdate=func.now(), comment="When this row last changed."
    )
