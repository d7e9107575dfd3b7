"""Table `callback`: every accepted webhook request with its parameters."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Identity, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from amd_service.calls.tables.base import Base

# SQL condition: the parameters of the callback have not been deleted because of their age.
WHOLE = "parameters is not null"


class Callback(Base):
    """One accepted webhook request. The facts about a call or a recording are computed from these rows."""

    __tablename__ = "callback"
    __table_args__ = (
        Index(None, "call_sid"),
        Index(None, "received_at"),
        # A partial index, so that the search for callbacks with parameters stays fast after years of operation.
        Index("ix_callback_whole", "received_at", postgresql_where=text(WHOLE)),
        {"comment": "One row per accepted webhook request, with its parameters. A repeated delivery adds no row."},
    )

    id: Mapped[int] = mapped_column(
        BigInteger, Identity(always=True), primary_key=True, comment="Number of the row, in order of arrival."
    )
    sha256: Mapped[str] = mapped_column(
        unique=True,
        comment="SHA-256, in hex, of the route, the sorted decoded parameters, and campaign and tags of the URL. "
        "Unique, so that a repeated delivery adds no row.",
    )
    route: Mapped[str] = mapped_column(
        comment="Receiving route: `status`, `recording` or `amd`. `rest` for responses of Twilio's API, `stream` for "
        "campaign and tags of a live stream."
    )
    call_sid: Mapped[str | None] = mapped_column(
        comment="Twilio's CallSid. Null for a conference recording that names no call."
    )
    recording_sid: Mapped[str | None] = mapped_column(
        comment="Twilio's RecordingSid. Null for a callback about the call."
    )
    account_sid: Mapped[str] = mapped_column(comment="Twilio account or subaccount that signed the request.")
    parameters: Mapped[list[list[str]] | None] = mapped_column(
        comment="All form parameters, decoded, in the order sent: a list of [name, value]. Characters "
        "that Postgres cannot store are replaced by U+FFFD. Null after the parameters were "
        "deleted because of their age."
    )
    facts: Mapped[dict[str, Any]] = mapped_column(
        comment="Parsed values of the callback, and campaign and tags of its URL. A key is missing if the callback had "
        "no value for it."
    )
    idempotency_token: Mapped[str | None] = mapped_column(
        comment=("The I-Twilio-Idempotency-Token header. Twilio does not sign it, so no code depends on it.")
    )
    received_at: Mapped[datetime] = mapped_column(
        server_default=func.now(), comment="Time when the request was first received."
    )
