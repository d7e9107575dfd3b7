"""Tables `person` and `person_session`: people who sign in to the pages."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from amd_service.calls.tables.base import Base, closed_set
from amd_service.domain import Role


class Person(Base):
    """A person who may use the pages."""

    __tablename__ = "person"
    __table_args__ = (
        closed_set("role", Role),
        {"comment": "One row per person who may use the pages. People are disabled, never deleted."},
    )

    id: Mapped[int] = mapped_column(
        BigInteger, Identity(always=True), primary_key=True, comment="Number of the person."
    )
    name: Mapped[str] = mapped_column(unique=True, comment="Name for signing in, or the name that a proxy sends.")
    role: Mapped[str] = mapped_column(comment="`viewer`, `reviewer` or `admin`.")
    password_hash: Mapped[str | None] = mapped_column(
        comment="Argon2id hash of the password. Null for a person who signs in only through a proxy."
    )
    sees_numbers: Mapped[bool] = mapped_column(
        server_default=text("false"), comment="True if phone numbers are shown in full. Otherwise they are masked."
    )
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), comment="Time when the person was added.")
    disabled_at: Mapped[datetime | None] = mapped_column(
        comment="Time when the person was disabled. Null for a person who may sign in."
    )


class PersonSession(Base):
    """A browser in which a person is signed in."""

    __tablename__ = "person_session"
    __table_args__ = (
        Index(None, "person_id"),
        Index(None, "expires_at"),
        {"comment": "One row per browser in which a person is signed in. Expired rows are deleted."},
    )

    token_sha256: Mapped[str] = mapped_column(primary_key=True, comment="SHA-256, in hex, of the session cookie.")
    person_id: Mapped[int] = mapped_column(
        ForeignKey("person.id", ondelete="CASCADE"), comment="The person who is signed in."
    )
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), comment="Time of the sign-in.")
    expires_at: Mapped[datetime] = mapped_column(comment="Time when the session ends.")
