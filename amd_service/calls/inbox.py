"""Queries for the inbox: claim callbacks to fold, and put back those that could not be folded."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import DateTime, Interval, any_, delete, func, insert, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls.folding import Unfolded
from amd_service.calls.queue_length import Depth
from amd_service.calls.storable import storable
from amd_service.calls.tables import InboxRow

# Shortest and longest delay until callbacks are folded again that met a lock. In between, the delay is a quarter of the
# time that the callback has waited, so that thousands of locked callbacks are not claimed again and again.
LOCKED_S = 0.1
_LONG_LOCKED_S = 5.0
# Longest delay until a callback that cannot be folded is tried again, for example with the next version.
_LONGEST_DELAY_S = 600.0


async def claim(session: AsyncSession, limit: int, *, above: int = 0, call_sid: str | None = None) -> list[Unfolded]:
    """Take up to `limit` callbacks that are due out of the inbox, oldest first. Skips those of another transaction.

    The callbacks must be folded or put back in the same transaction: its commit deletes them from the inbox.
    `above`: only callbacks with a greater id. `call_sid`: only callbacks of this call.
    """
    due = select(InboxRow.callback_id).where(InboxRow.callback_id > above, InboxRow.available_at <= func.now())
    if call_sid is not None:
        due = due.where(InboxRow.call_sid == call_sid)
    due = due.order_by(InboxRow.callback_id).limit(limit).with_for_update(skip_locked=True)
    # An array is computed once. In a join, Postgres may compute the subquery again and lock more rows.
    statement = delete(InboxRow).where(InboxRow.callback_id == any_(func.array(due.scalar_subquery())))
    returned = statement.returning(*(getattr(InboxRow, name) for name in Unfolded.__slots__))
    result = await session.execute(returned, execution_options={"synchronize_session": False})
    return sorted((Unfolded(*row) for row in result), key=lambda one: one.callback_id)


async def due_calls(session: AsyncSession, limit: int) -> list[str]:
    """Return the calls of the oldest callbacks that are due."""
    due = select(InboxRow.call_sid).where(InboxRow.available_at <= func.now())
    return list(dict.fromkeys(await session.scalars(due.order_by(InboxRow.callback_id).limit(limit))))


async def put_back(
    session: AsyncSession, unfolded: Sequence[Unfolded], error: str | None = None, *, locked_s: float = LOCKED_S
) -> None:
    """Put claimed callbacks back into the inbox.

    `error`: of an attempt that failed. The delay until the next attempt is 1 s, and doubles with each attempt. Without
    `error`, the callbacks met a lock and are due again in `locked_s` or a little later.
    """
    rows: list[dict[str, Any]] = []
    for one in unfolded:
        if error is None:
            waited_s = func.extract("epoch", func.now() - literal(one.received_at, DateTime(timezone=True)))
            delay_s = func.least(func.greatest(waited_s / 4, locked_s), _LONG_LOCKED_S)
            changes: dict[str, Any] = {}
        else:
            delay_s = func.least(2.0 ** min(one.attempts, 10), _LONGEST_DELAY_S)
            changes = {"attempts": one.attempts + 1, "error": storable(error)}
        delay = func.make_interval(0, 0, 0, 0, 0, 0, delay_s, type_=Interval)
        rows.append(asdict(one) | changes | {"available_at": func.now() + delay})
    if rows:
        await session.execute(insert(InboxRow).values(rows))


async def depth(session: AsyncSession) -> Depth:
    """Return the number of callbacks that are not yet folded: `failed` if an attempt has failed, otherwise `waiting`.

    A callback waits from the time when it was received. The age is that of the oldest waiting callback: one that cannot
    be folded stays for days, and would hide that others wait.
    """
    oldest = func.min(InboxRow.received_at).filter(InboxRow.attempts == 0)
    age_s = func.extract("epoch", func.now() - oldest)
    failed = func.count().filter(InboxRow.attempts > 0)
    count, failed_count, oldest_s = (await session.execute(select(func.count(), failed, age_s))).one()
    return Depth({"waiting": count - failed_count, "failed": failed_count}, float(oldest_s or 0.0))
