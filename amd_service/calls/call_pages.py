"""Reads the calls that a filter selects, newest first, one page at a time.

A page begins at a cursor and not at a row number: a page is read from an index however far back it is, and new calls do
not shift the pages.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from sqlalchemy import Select, select, table, tuple_
from sqlalchemy import column as named_column
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls.call_filter import CallFilter, FilterRules, conditions
from amd_service.calls.tables import CallLog
from amd_service.domain import CallSid
from amd_service.errors import InvalidFilter

PAGE_SIZE = 50

_REVIEWED = table("call_log_reviewed", named_column("call_sid"), named_column("answer"))
_ORDER = (CallLog.created_at, CallLog.call_sid)


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the list: after or before the call with these values."""

    created_at: datetime
    call_sid: str

    @classmethod
    def of(cls, call: CallLog) -> Self:
        return cls(call.created_at, call.call_sid)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a cursor from a query string. Raises InvalidFilter."""
        moment, _, call_sid = text.partition("~")
        try:
            created_at = datetime.fromisoformat(moment).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise InvalidFilter(f"{text!r} is not a place in the list of calls: begin at /calls") from error
        if not (call_sid.isascii() and call_sid.isalnum()):
            raise InvalidFilter(f"{text!r} is not a place in the list of calls: begin at /calls")
        return cls(created_at, call_sid)

    def __str__(self) -> str:
        return f"{self.created_at.astimezone(UTC).isoformat().replace('+00:00', 'Z')}~{self.call_sid}"


@dataclass(frozen=True, slots=True)
class Position:
    """Which page to read: the newest calls, the calls older than a call, or the calls newer than a call."""

    older_than: Cursor | None = None
    newer_than: Cursor | None = None


@dataclass(frozen=True, slots=True)
class CallPage:
    """One page, newest first.

    `answers`: what the first reviewer heard, by CallSid. `newer`: the first call, if newer calls exist. `older`: the
    last call, if older calls exist.
    """

    calls: Sequence[CallLog]
    answers: Mapping[CallSid, str]
    newer: Cursor | None
    older: Cursor | None


NEWEST = Position()


async def read_page(
    session: AsyncSession, call_filter: CallFilter, rules: FilterRules, position: Position, *, size: int = PAGE_SIZE
) -> CallPage:
    """Read a page. A page of newer calls that would not be full is the first page."""
    selected = select(CallLog).where(*conditions(call_filter, rules))
    if position.newer_than is not None:
        page = await _read_newer(session, selected, position.newer_than, size)
        if page is not None:
            return page
    calls, has_older = await _read_older(session, selected, position.older_than, size)
    return CallPage(
        calls,
        await read_answers(session, calls),
        newer=Cursor.of(calls[0]) if position.older_than and calls else None,
        older=Cursor.of(calls[-1]) if has_older else None,
    )


async def read_answers(session: AsyncSession, calls: Sequence[CallLog]) -> dict[CallSid, str]:
    """Return what the first reviewer of each call heard. Calls that nobody reviewed are missing."""
    if not calls:
        return {}
    sids = [call.call_sid for call in calls]
    rows = await session.execute(select(_REVIEWED.c.call_sid, _REVIEWED.c.answer).where(_REVIEWED.c.call_sid.in_(sids)))
    return {CallSid(call_sid): answer for call_sid, answer in rows}


async def _read_older(
    session: AsyncSession, selected: Select[CallLog], cursor: Cursor | None, size: int
) -> tuple[list[CallLog], bool]:
    if cursor is not None:
        selected = selected.where(tuple_(*_ORDER) < tuple_(cursor.created_at, cursor.call_sid))
    newest_first = selected.order_by(*(column.desc() for column in _ORDER)).limit(size + 1)
    calls = list(await session.scalars(newest_first))
    return calls[:size], len(calls) > size


async def _read_newer(session: AsyncSession, selected: Select[CallLog], cursor: Cursor, size: int) -> CallPage | None:
    """Return the page before a call. None if it is the first page, which can have new calls."""
    oldest_first = selected.where(tuple_(*_ORDER) > tuple_(cursor.created_at, cursor.call_sid))
    calls = list(await session.scalars(oldest_first.order_by(*_ORDER).limit(size + 1)))
    if len(calls) <= size:
        return None
    shown = calls[:size][::-1]
    return CallPage(
        shown,
        await read_answers(session, shown),
        newer=Cursor.of(shown[0]),
        older=Cursor.of(shown[-1]),
    )
