"""Table `api_key`: keys of programs that use the API."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Identity, func
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from amd_service.calls.tables.base import Base
from amd_service.domain import AccessScope


class ApiKey(Base):
    """A key of a program. The key itself is not stored."""

    __tablename__ = "api_key"
    __table_args__ = (
        CheckConstraint(
            f"cardinality(scopes) > 0 and scopes <@ array[{', '.join(repr(str(scope)) for scope in AccessScope)}]",
            name="scopes",
        ),
        {"comment": "One row per API key that was made with `amd-service key add`. Keys are revoked, never deleted."},
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True, comment="Number of the key.")
    name: Mapped[str] = mapped_column(unique=True, comment="Name of the program that has the key.")
    key_sha256: Mapped[str] = mapped_column(
        unique=True, comment="SHA-256 of the key, in hex. The key has 256 random bits, so no slow hash is needed."
    )
    scopes: Mapped[list[str]] = mapped_column(
        ARRAY(Text()), comment="What the key allows: `predict`, `read`, `call`, `review`, `admin`."
    )
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), comment="Time when the key was made.")
    revoked_at: Mapped[datetime | None] = mapped_column(comment="Time when the key was revoked. Null for a valid key.")
