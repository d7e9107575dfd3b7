"""Read the calls that a filter selects: a page of them, or all of them in batches."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from amd_service.calls import neighbours, saved_views
from amd_service.calls.call_filter import CallFilter, FilterRules
from amd_service.calls.call_pages import NEWEST, PAGE_SIZE, CallPage, Position, read_page
from amd_service.calls.neighbours import Neighbours
from amd_service.calls.tables import SavedView
from amd_service.database.pool import Database
from amd_service.domain import CallSid

# Calls per transaction of an export. Writing a batch takes about 20 ms, in which no other request is handled.
EXPORT_BATCH = 250


@dataclass(frozen=True, slots=True)
class CallList:
    """Contents of the page of calls."""

    page: CallPage
    views: list[SavedView]


async def read_list(
    database: Database, call_filter: CallFilter, rules: FilterRules, position: Position = NEWEST
) -> CallList:
    """Read a page of calls and the saved views. Raises DatabaseUnavailable."""
    async with database.reading() as session:
        page = await read_page(session, call_filter, rules, position)
        return CallList(page, await saved_views.list_views(session))


async def read_rows(
    database: Database, call_filter: CallFilter, rules: FilterRules, position: Position, *, size: int = PAGE_SIZE
) -> CallPage:
    """Read a page of calls. Raises DatabaseUnavailable."""
    async with database.reading() as session:
        return await read_page(session, call_filter, rules, position, size=size)


async def find_neighbours(
    database: Database, call_filter: CallFilter, rules: FilterRules, call_sid: CallSid
) -> Neighbours:
    """Return the calls before and after a call in the list. Raises DatabaseUnavailable."""
    async with database.reading() as session:
        return await neighbours.find_neighbours(session, call_filter, rules, call_sid)


async def export_calls(
    database: Database, call_filter: CallFilter, rules: FilterRules, one_at_a_time: asyncio.Lock
) -> AsyncIterator[CallPage]:
    """Read all calls that exist now, newest first, in batches. Calls that arrive meanwhile are left out.

    Each batch is a transaction of its own, so that a slow client holds neither a connection nor a snapshot.
    `one_at_a_time`: a lock that all exports share for reading a batch, so that many exports together delay other
    requests no more than one. Raises DatabaseUnavailable, also between two batches.
    """
    position = NEWEST
    while True:
        async with one_at_a_time, database.reading() as session:
            page = await read_page(session, call_filter, rules, position, size=EXPORT_BATCH)
        yield page
        if page.older is None:
            return
        position = Position(older_than=page.older)
