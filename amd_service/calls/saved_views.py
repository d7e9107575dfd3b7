"""Queries for saved views: filters of the calls page under a name."""

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls.tables import SavedView
from amd_service.errors import ViewNameTaken


async def list_views(session: AsyncSession) -> list[SavedView]:
    """Return all views by name."""
    return list(await session.scalars(select(SavedView).order_by(func.lower(SavedView.name), SavedView.name)))


async def add(session: AsyncSession, name: str, query: str, created_by: str) -> None:
    """Add a view. Raises ViewNameTaken."""
    values = {"name": name, "query": query, "created_by": created_by}
    added = insert(SavedView).values(values).on_conflict_do_nothing().returning(SavedView.id)
    if await session.scalar(added) is None:
        cure = "choose another name, or replace the filter of that view under “Manage views”"
        raise ViewNameTaken(f"a view is named {name!r} already: {cure}")


async def change(session: AsyncSession, view_id: int, **values: str) -> str | None:
    """Change name or query of a view, and return its query. None for an unknown view.

    Raises ViewNameTaken if another view has the name.
    """
    changed = update(SavedView).where(SavedView.id == view_id).values(values).returning(SavedView.query)
    try:
        async with session.begin_nested():
            return await session.scalar(changed)
    except IntegrityError as error:
        raise ViewNameTaken(f"another view is named {values['name']!r}: choose another name") from error


async def remove(session: AsyncSession, view_id: int) -> None:
    """Delete a view, if it exists."""
    await session.execute(delete(SavedView).where(SavedView.id == view_id))
