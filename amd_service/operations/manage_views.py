"""Save, rename, replace and delete views of the calls page."""

from amd_service.calls import saved_views
from amd_service.calls.call_filter import CallFilter, filter_query
from amd_service.database.pool import Database


async def save_view(database: Database, name: str, call_filter: CallFilter, created_by: str) -> None:
    """Save a filter for all people. Raises ViewNameTaken and DatabaseUnavailable."""
    async with database.transaction() as session:
        await saved_views.add(session, name, filter_query(call_filter), created_by)


async def replace_view(database: Database, view_id: int, call_filter: CallFilter) -> str | None:
    """Change the filter of a view, and return its query string. None for an unknown view."""
    async with database.transaction() as session:
        return await saved_views.change(session, view_id, query=filter_query(call_filter))


async def rename_view(database: Database, view_id: int, name: str) -> str | None:
    """Rename a view, and return its query string. None for an unknown view. Raises ViewNameTaken."""
    async with database.transaction() as session:
        return await saved_views.change(session, view_id, name=name)


async def delete_view(database: Database, view_id: int) -> None:
    """Delete a view, if it exists."""
    async with database.transaction() as session:
        await saved_views.remove(session, view_id)
