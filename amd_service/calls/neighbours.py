"""Finds the calls before and after a call in a filtered list."""

from dataclasses import dataclass

from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls.call_filter import CallFilter, FilterRules, conditions
from amd_service.calls.tables import CallLog
from amd_service.domain import CallSid

_ORDER = (CallLog.created_at, CallLog.call_sid)


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The next newer and the next older call of a list, None at its ends."""

    newer: CallSid | None
    older: CallSid | None


async def find_neighbours(
    session: AsyncSession, call_filter: CallFilter, rules: FilterRules, call_sid: CallSid
) -> Neighbours:
    """Return the neighbours of a call among the calls that the filter selects. An unknown call has none."""
    created_at = await session.scalar(select(CallLog.created_at).where(CallLog.call_sid == call_sid))
    if created_at is None:
        return Neighbours(None, None)
    here = tuple_(created_at, call_sid)
    listed = select(CallLog.call_sid).where(*conditions(call_filter, rules)).limit(1)
    newer = listed.where(tuple_(*_ORDER) > here).order_by(*_ORDER)
    older = listed.where(tuple_(*_ORDER) < here).order_by(*(column.desc() for column in _ORDER))
    found = [await session.scalar(statement) for statement in (newer, older)]
    return Neighbours(*(None if sid is None else CallSid(sid) for sid in found))
