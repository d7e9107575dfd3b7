"""Table `recheck`: calls whose label is probably wrong."""

from datetime import datetime

from sqlalchemy import ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column

from amd_service.calls.tables.base import Base


class Recheck(Base):
    """A call that another person shall listen to."""

    __tablename__ = "recheck"
    __table_args__ = (
        {
            "comment": (
                "One row per call whose label a dataset build suspects. People who have not answered the call get it "
                "in the queue `recheck`."
            )
        },
    )

    call_sid: Mapped[str] = mapped_column(
        ForeignKey("call_log.call_sid"), primary_key=True, comment="CallSid of the call."
    )
    created_at: Mapped[datetime] = mapped_column(
        server_default=func.now(), comment="Time of the request. An answer after this time settles it."
    )
