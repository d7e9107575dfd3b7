"""Table `inbox`: the callbacks that are stored, but not yet folded into the rows of their call and recording."""

from datetime import datetime

from sqlalchemy import BigInteger, func, text
from sqlalchemy.orm import Mapped, mapped_column

from amd_service.calls.tables.base import Base


class InboxRow(Base):
    """One callback that is not yet folded."""

    # No foreign keys: a lock on `call_log` must not delay a callback, and the retention may delete a callback that an
    # equal one replaces.
    __tablename__ = "inbox"
    __table_args__ = (
        {
            "comment": "One row per stored callback that is not yet folded into call_log and recording. Usually empty: "
            "a row is deleted some milliseconds after its callback."
        },
    )

    callback_id: Mapped[int] = mapped_column(
        BigInteger, primary_key=True, autoincrement=False, comment="Number of the row in `callback`."
    )
    call_sid: Mapped[str] = mapped_column(comment="CallSid of the callback.")
    account_sid: Mapped[str] = mapped_column(comment="Twilio account or subaccount that signed the request.")
    recording_sid: Mapped[str | None] = mapped_column(
        comment="RecordingSid of the callback. Null for a callback about the call."
    )
    traceparent: Mapped[str | None] = mapped_column(
        comment="Span of the request, as a traceparent of W3C Trace Context. Null if traces were off."
    )
    received_at: Mapped[datetime] = mapped_column(
        server_default=func.now(), comment="Time when the request was first received."
    )
    attempts: Mapped[int] = mapped_column(
        server_default=text("0"), comment="Number of attempts to fold the callback that failed."
    )
    available_at: Mapped[datetime] = mapped_column(
        server_default=func.now(), comment="Earliest time of the next attempt."
    )
    error: Mapped[str | None] = mapped_column(comment="Error of the latest failed attempt.")
