"""Table `saved_view`: filters of the calls page that people saved under a name."""

from datetime import datetime

from sqlalchemy import BigInteger, Identity, func
from sqlalchemy.orm import Mapped, mapped_column

from amd_service.calls.tables.base import Base


class SavedView(Base):
    """A filter of the calls page, saved for everybody."""

    __tablename__ = "saved_view"
    __table_args__ = ({"comment": "One row per filter of the calls page that somebody saved under a name."},)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True, comment="Number of the view.")
    name: Mapped[str] = mapped_column(unique=True, comment="Name that the page shows.")
    query: Mapped[str] = mapped_column(comment="Query string of the page, without `?`.")
    created_by: Mapped[str] = mapped_column(comment="Name of the person who saved the view.")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), comment="Time when the view was saved.")
