"""Table `review`: what people heard when they listened to a call. View `call_log_reviewed`."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from amd_service.calls.tables.base import Base, closed_set, probability
from amd_service.domain import ReviewAnswer, Stratum


class Review(Base):
    """One answer of one person about one call. A correction is a new row; verdicts are never changed."""

    __tablename__ = "review"
    __table_args__ = (
        closed_set("answer", ReviewAnswer),
        closed_set("stratum", Stratum),
        probability("probability"),
        CheckConstraint("(stratum is null) = (probability is null)", name="drawn_with_a_probability"),
        Index(None, "call_sid", "id"),
        Index(None, "created_at"),
        Index(
            None,
            "reviewer",
            "idempotency_key",
            unique=True,
            postgresql_where=text("idempotency_key is not null"),
        ),
        {
            "comment": (
                "One row per answer of a person who listened to a call. The latest answer of a person about a call "
                "counts. Reviews never change a verdict."
            )
        },
    )

    id: Mapped[int] = mapped_column(
        BigInteger, Identity(always=True), primary_key=True, comment="Number of the row, in order of writing."
    )
    call_sid: Mapped[str] = mapped_column(ForeignKey("call_log.call_sid"), comment="CallSid of the call.")
    reviewer: Mapped[str] = mapped_column(comment="Name of the person, or of the API key.")
    answer: Mapped[str] = mapped_column(
        comment="`human`, `voicemail`, `screening` (an assistant asks who is calling), `other` (fax, tone, music, "
        "announcement, menu) or `cannot_tell`."
    )
    note: Mapped[str | None] = mapped_column(comment="Note of the person. Null without a note.")
    stratum: Mapped[str | None] = mapped_column(
        comment="Group of calls from which this call was drawn: `disagreement` (with Twilio's own detection), "
        "`undecided`, `low_confidence` or `rest`. Null if the person chose the call."
    )
    probability: Mapped[float | None] = mapped_column(
        comment="Probability with which a call of the stratum was drawn for review, from 0 to 1. Null if the person "
        "chose the call. Such an answer counts for no error rate."
    )
    idempotency_key: Mapped[str | None] = mapped_column(
        comment="Idempotency-Key of the request that added the row. Null without a key, and for an answer on a page."
    )
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), comment="Time of the answer.")
