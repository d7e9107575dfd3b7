"""`callback`: every accepted request, stored raw."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Identity, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from amd_service.calls.tables.base import Base

# SQL: its parameters have not been dropped because of their age.
WHOLE = "parameters is not null"


class Callback(Base):
    """One accepted webhook request. The rows of a call and of a recording follow from these alone."""

    __tablename__ = "callback"
    __table_args__ = (
        Index(None, "call_sid"),
        Index(None, "received_at"),
        # Partial: finding callbacks with parameters stays fast beside years of stripped ones.
        Index("ix_callback_whole", "received_at", postgresql_where=text(WHOLE)),
        {"comment": "Every accepted webhook request, unchanged and once: a repeated delivery adds no row."},
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True, comment="Order of arrival.")
    sha256: Mapped[str] = mapped_column(
        unique=True, comment="SHA-256, in hex, of the route and the sorted decoded parameters; unique."
    )
    route: Mapped[str] = mapped_column(
        comment="The route that received it: `status`, `recording`, `amd`; `rest` for an answer of Twilio's API."
    )
    call_sid: Mapped[str | None] = mapped_column(
        comment="Twilio's CallSid; null for a recording of a conference, which names no call."
    )
    recording_sid: Mapped[str | None] = mapped_column(
        comment="Twilio's RecordingSid; null for a callback about the call itself."
    )
    account_sid: Mapped[str] = mapped_column(comment="Twilio account or subaccount that signed it.")
    parameters: Mapped[list[list[str]] | None] = mapped_column(
        comment="All form parameters as decoded, in the order sent: a list of [name, value]. "
        "Characters Postgres cannot hold are replaced by U+FFFD. Null after they were dropped because of their age."
    )
    facts: Mapped[dict[str, Any]] = mapped_column(
        comment="Its parsed values; a key is absent if the callback had no value for it."
    )
    idempotency_token: Mapped[str | None] = mapped_column(
        comment="The I-Twilio-Idempotency-Token header. Not signed by Twilio, so nothing depends on it."
    )
    received_at: Mapped[datetime] = mapped_column(server_default=func.now(), comment="When it was first received.")
