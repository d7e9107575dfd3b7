"""Table `sweep`: progress of reconciliation."""

from datetime import datetime

from sqlalchemy import func
from sqlalchemy.orm import Mapped, mapped_column

from amd_service.calls.tables.base import Base


class Sweep(Base):
    """Progress and lease of one account's sweeps. All workers share the row."""

    __tablename__ = "sweep"
    __table_args__ = (
        {
            "comment": (
                "One row per Twilio account: progress and lease of its sweeps. A sweep reconciles the account with "
                "Twilio's API."
            )
        },
    )

    account_sid: Mapped[str] = mapped_column(primary_key=True, comment="The Twilio account.")
    swept_until: Mapped[datetime | None] = mapped_column(
        comment="Calls and recordings created before this time are reconciled. Null until the first sweep ends."
    )
    created_at: Mapped[datetime] = mapped_column(
        server_default=func.now(),
        comment="Time of the account's first sweep. Unknown calls that are older are stored only by `amd-service "
        "reconcile`.",
    )
    available_at: Mapped[datetime] = mapped_column(
        server_default=func.now(), comment="Time when the next sweep is due, or end of the running sweep's lease."
    )
