"""`sweep`: progress of reconciliation."""

from datetime import datetime

from sqlalchemy import func
from sqlalchemy.orm import Mapped, mapped_column

from amd_service.calls.tables.base import Base


class Sweep(Base):
    """Progress and lease of one account's reconciliation, shared by all workers."""

    __tablename__ = "sweep"
    __table_args__ = ({"comment": "One row per account: how far its reconciliation has come."},)

    account_sid: Mapped[str] = mapped_column(primary_key=True, comment="The Twilio account.")
    swept_until: Mapped[datetime | None] = mapped_column(
        comment="Calls and recordings created before it have been reconciled. Null until the first sweep has ended."
    )
    created_at: Mapped[datetime] = mapped_column(
        server_default=func.now(),
        comment="When the account was first swept. Unknown calls that began before are stored by `amd-service "
        "reconcile` only.",
    )
    available_at: Mapped[datetime] = mapped_column(
        server_default=func.now(), comment="When the next sweep is due, or when the lease of the running one ends."
    )
