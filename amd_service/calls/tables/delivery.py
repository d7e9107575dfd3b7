"""Table `delivery`: one row per event of a call and URL of a backend. The row is also the job of delivering it."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from amd_service.calls.tables.base import Base, closed_set
from amd_service.domain import DeliveryState, EventType

# SQL conditions of the partial indexes. A query must repeat a condition word for word, because Postgres then uses the
# index.
UNFINISHED = "state in ('queued', 'running')"
FINISHED = "finished_at is not null"
DEAD = "state = 'dead'"


class Delivery(Base):
    """One event that one backend gets, written in the transaction that wrote the final state of the call."""

    __tablename__ = "delivery"
    __table_args__ = (
        closed_set("type", EventType),
        closed_set("state", DeliveryState),
        CheckConstraint("sequence >= 1", name="sequence"),
        CheckConstraint("attempts >= 0", name="attempts"),
        CheckConstraint("(locked_by is not null) = (state = 'running')", name="locked_when_running"),
        CheckConstraint("(finished_at is not null) = (state in ('done', 'dead'))", name="finished_when_over"),
        CheckConstraint("last_error is not null or state <> 'dead'", name="reason_when_dead"),
        UniqueConstraint("call_sid", "url", "sequence"),
        # Partial indexes, so that a claim stays fast with a million finished rows in the table.
        Index("ix_delivery_due", "url", "available_at", postgresql_where=text(UNFINISHED)),
        Index("ix_delivery_finished", "finished_at", postgresql_where=text(FINISHED)),
        Index("ix_delivery_dead", "id", postgresql_where=text(DEAD)),
        {
            "comment": (
                "One row per event of a call and URL of a backend (AMD_DELIVERY_URL). Each row is also the job of "
                "delivering the event. Finished rows are deleted after AMD_DELIVERY_DAYS."
            )
        },
    )

    id: Mapped[int] = mapped_column(
        BigInteger, Identity(always=True), primary_key=True, comment="Number of the row, in order of writing."
    )
    call_sid: Mapped[str] = mapped_column(ForeignKey("call_log.call_sid"), comment="CallSid of the call.")
    sequence: Mapped[int] = mapped_column(
        comment="Number of the event in its call, from 1. A URL gets the events of a call in this order."
    )
    url: Mapped[str] = mapped_column(comment="URL of the backend.")
    type: Mapped[str] = mapped_column(comment="`call.judged`, `call.failed` or `call.not_applicable`.")
    payload: Mapped[str] = mapped_column(comment="Body of the request, as it is signed and sent.")
    state: Mapped[str] = mapped_column(
        comment="`queued`, `running`, `done` (the backend accepted the event), `dead` (given up, see last_error)."
    )
    attempts: Mapped[int] = mapped_column(
        server_default=text("0"), comment="Number of requests. Requests that a shutdown interrupted are not counted."
    )
    available_at: Mapped[datetime] = mapped_column(
        server_default=func.now(),
        comment="Earliest time at which a worker may send the event: time of writing, end of the retry delay, or end "
        "of the current worker's lease. An event also waits for the earlier events of its call and URL.",
    )
    retry_until: Mapped[datetime | None] = mapped_column(
        comment="Time after which a failed request is not repeated: three days after the first one. Null until then."
    )
    locked_by: Mapped[str | None] = mapped_column(
        comment="Worker that sends the event, followed by `#` and a random token of the claim. Null unless state is "
        "`running`."
    )
    last_status: Mapped[int | None] = mapped_column(
        comment="HTTP status of the latest response. Null if the latest request got no response."
    )
    last_error: Mapped[str | None] = mapped_column(
        comment="Error of the latest failed request. If state is `dead`: reason why the event was given up."
    )
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), comment="Time of the event.")
    finished_at: Mapped[datetime | None] = mapped_column(comment="Time when state became `done` or `dead`.")
