"""Table `call_request`: requests to Twilio to place a call. The rows ensure that no call is placed twice."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from amd_service.calls.tables.base import Base, closed_set


class RequestOutcome(StrEnum):
    """Outcome of a request. `UNKNOWN`: Twilio's response was lost, so the call may have been placed."""

    PENDING = "pending"
    PLACED = "placed"
    UNKNOWN = "unknown"


class CallRequestRow(Base):
    """One request to place a call. A request that was refused has no row, because no call was placed."""

    __tablename__ = "call_request"
    __table_args__ = (
        closed_set("outcome", RequestOutcome),
        CheckConstraint("(call_sid is not null) = (outcome = 'placed')", name="sid_when_placed"),
        Index(None, "created_at"),
        Index(None, "call_sid"),
        {
            "comment": (
                "One row per request to Twilio to place a call. The rows prevent a second call for the same "
                "Idempotency-Key, and are the basis of the rate limit."
            )
        },
    )

    key: Mapped[str] = mapped_column(
        primary_key=True, comment="The client's Idempotency-Key, or a generated key if the client sent none."
    )
    fingerprint: Mapped[str] = mapped_column(
        comment="HMAC-SHA256 of the request, in hex, keyed with the account's REST secret. The same "
        "Idempotency-Key with another request is refused."
    )
    account_sid: Mapped[str] = mapped_column(comment="Twilio account that places the call.")
    outcome: Mapped[str] = mapped_column(
        comment="`pending` (the request is running, or its process has crashed), `placed`, `unknown` (Twilio's "
        "response was lost)."
    )
    call_sid: Mapped[str | None] = mapped_column(
        comment="CallSid of the placed call. Has a value if and only if outcome is `placed`."
    )
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), comment="Time of the request.")
