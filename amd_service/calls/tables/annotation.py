"""Table `annotation`: the Call Annotation of a reviewed call. The row is also the job of sending it to Twilio."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from amd_service.calls.tables.base import Base, closed_set
from amd_service.calls.tables.delivery import UNFINISHED
from amd_service.domain import AnsweredBy, DeliveryState


class Annotation(Base):
    """The annotation of one call, written in the transaction of the review."""

    __tablename__ = "annotation"
    __table_args__ = (
        closed_set("answered_by", AnsweredBy),
        closed_set("state", DeliveryState),
        CheckConstraint("version >= 1", name="version"),
        CheckConstraint("attempts >= 0", name="attempts"),
        CheckConstraint("(locked_by is not null) = (state = 'running')", name="locked_when_running"),
        CheckConstraint("(finished_at is not null) = (state in ('done', 'dead'))", name="finished_when_over"),
        CheckConstraint("last_error is not null or state <> 'dead'", name="reason_when_dead"),
        Index("ix_annotation_due", "available_at", postgresql_where=text(UNFINISHED)),
        {
            "comment": (
                "One row per call whose review is sent to Twilio as a Call Annotation (AMD_ANNOTATE_CALLS). Each row "
                "is also the job of sending it."
            )
        },
    )

    call_sid: Mapped[str] = mapped_column(
        ForeignKey("call_log.call_sid"), primary_key=True, comment="CallSid of the call."
    )
    answered_by: Mapped[str] = mapped_column(
        comment="`human`, `machine`, or `unknown_answered_by`, which withdraws an earlier annotation."
    )
    version: Mapped[int] = mapped_column(server_default=text("1"), comment="Number of changes of answered_by, from 1.")
    state: Mapped[str] = mapped_column(
        server_default=DeliveryState.QUEUED,
        comment="`queued`, `running`, `done` (Twilio has the annotation), `dead` (given up, see last_error).",
    )
    attempts: Mapped[int] = mapped_column(
        server_default=text("0"), comment="Number of requests. Requests that a shutdown interrupted are not counted."
    )
    available_at: Mapped[datetime] = mapped_column(
        server_default=func.now(),
        comment="Earliest time at which a worker may send the annotation: time of the review, end of the retry delay, "
        "or end of the current worker's lease.",
    )
    retry_until: Mapped[datetime | None] = mapped_column(
        comment="Time after which a failed request is not repeated: three days after the first one. Null until then."
    )
    locked_by: Mapped[str | None] = mapped_column(
        comment="Worker that sends the annotation, followed by `#` and a random token of the claim. Null unless state "
        "is `running`."
    )
    last_error: Mapped[str | None] = mapped_column(
        comment="Error of the latest failed request. If state is `dead`: reason why the annotation was given up."
    )
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), comment="Time of the first review.")
    finished_at: Mapped[datetime | None] = mapped_column(comment="Time when state became `done` or `dead`.")
