"""API keys that are stored in the database."""

from collections.abc import Collection

from sqlalchemy import exists, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls.tables import ApiKey
from amd_service.domain import AccessScope, Principal


async def add(session: AsyncSession, name: str, key_sha256: str, scopes: Collection[AccessScope]) -> bool:
    """Add a key. Returns False if the name is taken, also by a revoked key."""
    values = {"name": name, "key_sha256": key_sha256, "scopes": sorted(scopes)}
    added = insert(ApiKey).values(values).on_conflict_do_nothing().returning(ApiKey.id)
    return await session.scalar(added) is not None


async def revoke(session: AsyncSession, name: str) -> bool:
    """Revoke a key. Returns False if no valid key has this name."""
    revoked = update(ApiKey).where(ApiKey.name == name, ApiKey.revoked_at.is_(None)).values(revoked_at=func.now())
    return await session.scalar(revoked.returning(ApiKey.id)) is not None


async def list_keys(session: AsyncSession) -> list[ApiKey]:
    """Return all keys by name, the revoked too."""
    return list(await session.scalars(select(ApiKey).order_by(ApiKey.name)))


async def has_any(session: AsyncSession) -> bool:
    """Whether a key was ever made."""
    return bool(await session.scalar(select(exists().select_from(ApiKey))))


async def find_by_key(session: AsyncSession, key_sha256: str) -> Principal | None:
    """Return the program that has a valid key. A program sees numbers in full."""
    found = select(ApiKey).where(ApiKey.key_sha256 == key_sha256, ApiKey.revoked_at.is_(None))
    key = await session.scalar(found)
    if key is None:
        return None
    return Principal(key.name, frozenset(map(AccessScope, key.scopes)), sees_numbers=True)
