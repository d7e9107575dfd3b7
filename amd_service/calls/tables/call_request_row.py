"""`call_request`: every request to Twilio to place a call, so that none is placed twice."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from amd_service.calls.tables.base import Base, closed_set


class RequestOutcome(StrEnum):
    """Outcome of a request. `UNKNOWN`: Twilio's response was lost."""

    PENDING = "pending"
    PLACED = "placed"
    UNKNOWN = "unknown"


class CallRequestRow(Base):
    """One request to place a call. A refused request has no row: nothing was placed."""

    __tablename__ = "call_request"
    __table_args__ = (
        closed_set("outcome", RequestOutcome),
        CheckConstraint("(call_sid is not null) = (outcome = 'placed')", name="sid_when_placed"),
        Index(None, "created_at"),
        Index(None, "call_sid"),
        {"comment": "Every request to Twilio to place a call: its Idempotency-Key, and the basis of the rate limit."},
    )

    key: Mapped[str] = mapped_column(
        primary_key=True, comment="The Idempotency-Key; a generated one if the client sent none."
    )
    fingerprint: Mapped[str] = mapped_column(
        comment="HMAC-SHA256, in hex and keyed with the account's REST secret, of the request: the same key with "
        "another request is refused."
    )
    account_sid: Mapped[str] = mapped_column(comment="Twilio account that places it.")
    outcome: Mapped[str] = mapped_column(
        comment="`pending` (the request is running, or its process died), `placed`, `unknown` (Twilio's response was "
        "lost)."
    )
    call_sid: Mapped[str | None] = mapped_column(comment="The call; not null exactly when placed.")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), comment="When it was requested.")
