"""Applies the number policy to rows that were stored under an earlier one.

Each call handles one batch, small enough for one transaction, and returns the cursor from which the scan goes on. A
scan may stop and start again anywhere.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, delete, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls.intake import fingerprint
from amd_service.calls.number_policy import NumberPolicy
from amd_service.calls.tables import Base, Callback, CallLog
from amd_service.domain import RawCallback

# Prefix of the random value that replaces a fingerprint which was computed from numbers and can no longer be
# recomputed without them. The same callback delivered again then counts as new.
_RANDOM = "random:"

# Each attempt can lose to a callback that is delivered again in the same moment.
_DUPLICATE_ATTEMPTS = 5

# New values of a row by column, and its key as `row_key`.
Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a scan goes on: time and key of the last row it read."""

    at: datetime
    key: Any


@dataclass(frozen=True, slots=True)
class ScanStep:
    """Result of one batch: the next cursor, None at the end of the table, and how many rows were changed."""

    cursor: Cursor | None
    changed: int


async def apply_number_policy_to_calls(
    session: AsyncSession, policy: NumberPolicy, after: Cursor, limit: int
) -> ScanStep:
    """Apply the policy to the numbers of the next `limit` calls."""
    statement = (
        select(CallLog.call_sid, CallLog.created_at, CallLog.from_number, CallLog.to_number)
        .where(_is_after(after, CallLog.created_at, CallLog.call_sid))
        .order_by(CallLog.created_at, CallLog.call_sid)
        .limit(limit)
    )
    rows = (await session.execute(statement)).all()
    # Sorted by SID: two transactions that update several calls must lock them in one order, or they deadlock.
    candidates = (_new_call_values(row, policy) for row in sorted(rows, key=lambda row: row.call_sid))
    changed = [values for values in candidates if values is not None]
    await _update_rows(session, CallLog, CallLog.call_sid, changed)
    return ScanStep(Cursor(rows[-1].created_at, rows[-1].call_sid) if rows else None, len(changed))


def _new_call_values(row: Any, policy: NumberPolicy) -> Values | None:
    allowed = (policy.redact_number(row.from_number), policy.redact_number(row.to_number))
    if allowed == (row.from_number, row.to_number):
        return None
    return {"row_key": row.call_sid, "from_number": allowed[0], "to_number": allowed[1]}


async def apply_number_policy_to_callbacks(
    session: AsyncSession, policy: NumberPolicy, after: Cursor, limit: int
) -> ScanStep:
    """Apply the policy to parameters and facts of the next `limit` callbacks, and recompute their fingerprints."""
    columns = (Callback.id, Callback.received_at, Callback.route, Callback.sha256, Callback.parameters, Callback.facts)
    statement = (
        select(*columns)
        .where(_is_after(after, Callback.received_at, Callback.id))
        .order_by(Callback.received_at, Callback.id)
        .limit(limit)
    )
    rows = (await session.execute(statement)).all()
    candidates = (_new_callback_values(row, policy) for row in rows)
    changed = [values for values in candidates if values is not None]
    await _update_callbacks(session, changed)
    return ScanStep(Cursor(rows[-1].received_at, rows[-1].id) if rows else None, len(changed))


def _new_callback_values(row: Any, policy: NumberPolicy) -> Values | None:
    if policy.keeps_numbers:
        return None
    facts = policy.redact_facts(row.facts)
    if row.parameters is None:
        # The numbers that went into the fingerprint are gone, so it cannot be recomputed. It cannot stay either: with
        # the rest of the callback known, all possible numbers could be tried against it.
        is_unchanged = row.sha256.startswith(_RANDOM) and facts == row.facts
        return None if is_unchanged else {"row_key": row.id, "facts": facts, "sha256": _RANDOM + secrets.token_hex(16)}
    pairs = policy.redact_parameters(tuple((name, value) for name, value in row.parameters))
    parameters = [list(pair) for pair in pairs]
    if parameters == row.parameters and facts == row.facts:
        return None
    sha256 = fingerprint(RawCallback(row.route, pairs))
    return {"row_key": row.id, "facts": facts, "parameters": parameters, "sha256": sha256}


async def _update_callbacks(session: AsyncSession, rows: Sequence[Values]) -> None:
    for attempt in range(1, _DUPLICATE_ATTEMPTS + 1):
        rows = await _delete_duplicates(session, rows)
        try:
            async with session.begin_nested():
                # Two statements: one statement sets the same columns on all its rows, and dropped parameters must not
                # be written back.
                await _update_rows(session, Callback, Callback.id, [row for row in rows if "parameters" in row])
                await _update_rows(session, Callback, Callback.id, [row for row in rows if "parameters" not in row])
        except IntegrityError:
            # A callback was delivered again since the check for duplicates.
            if attempt == _DUPLICATE_ATTEMPTS:
                raise
        else:
            return


async def _delete_duplicates(session: AsyncSession, rows: Sequence[Values]) -> list[Values]:
    """Delete the callbacks whose new fingerprint exists already, and return the other rows.

    Such a callback was delivered again after the policy was set, and was stored a second time under it.
    """
    known = select(Callback.sha256).where(
        Callback.sha256.in_([row["sha256"] for row in rows]), Callback.id.not_in([row["row_key"] for row in rows])
    )
    stored = set((await session.scalars(known)).all()) if rows else set()
    kept: dict[str, Values] = {}
    for row in rows:
        if row["sha256"] not in stored:
            kept.setdefault(row["sha256"], row)
    duplicates = {row["row_key"] for row in rows} - {row["row_key"] for row in kept.values()}
    if duplicates:
        await session.execute(delete(Callback).where(Callback.id.in_(duplicates)))
    return list(kept.values())


async def _update_rows(session: AsyncSession, table: type[Base], key: Any, rows: Sequence[Values]) -> None:
    """Update all rows in one round trip: on a slow network, one each would take longer than a transaction may."""
    if rows:
        connection = await session.connection()
        await connection.execute(update(table).where(key == bindparam("row_key")), rows)


def _is_after(cursor: Cursor, at: Any, key: Any) -> ColumnElement[bool]:
    # The first condition is implied by the second. Without it Postgres would not use the index on the time.
    return and_(at >= cursor.at, or_(at > cursor.at, key > cursor.key))
