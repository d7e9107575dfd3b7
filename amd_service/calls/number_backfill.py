"""Applies the number policy to rows that were stored under an earlier policy.

Each function handles one batch in one transaction, and returns the cursor for the next batch. A scan may stop after any
batch and continue later.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, delete, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls.call_tagging import tagging_from_json
from amd_service.calls.intake import fingerprint
from amd_service.calls.number_policy import NumberPolicy
from amd_service.calls.tables import Base, Callback, CallLog
from amd_service.domain import RawCallback

# Prefix of the random value that replaces a fingerprint. The fingerprint was computed from numbers that are deleted, so
# it cannot be recomputed. If Twilio delivers this callback again, the callback counts as new.
_RANDOM = "random:"

# Maximum number of attempts per batch. An attempt fails if Twilio delivers one of the batch's callbacks again at the
# same moment.
_DUPLICATE_ATTEMPTS = 5

# New values of a row by column name. `row_key` is the row's primary key.
Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Cursor:
    """Position of a scan: time and key of the last row that was read."""

    at: datetime
    key: Any


@dataclass(frozen=True, slots=True)
class ScanStep:
    """Result of one batch.

    `cursor`: start of the next batch; None at the end of the table. `changed`: number of changed rows.
    """

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
    # Sorted by SID, because two transactions that update several calls in different orders can deadlock.
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
        # The numbers are deleted, so the fingerprint cannot be recomputed. It must not stay either: the rest of the
        # callback is known, so an attacker could try all phone numbers until the fingerprint matches.
        is_unchanged = row.sha256.startswith(_RANDOM) and facts == row.facts
        return None if is_unchanged else {"row_key": row.id, "facts": facts, "sha256": _RANDOM + secrets.token_hex(16)}
    pairs = policy.redact_parameters(tuple((name, value) for name, value in row.parameters))
    parameters = [list(pair) for pair in pairs]
    if parameters == row.parameters and facts == row.facts:
        return None
    sha256 = fingerprint(RawCallback(row.route, pairs, tagging=tagging_from_json(facts)))
    return {"row_key": row.id, "facts": facts, "parameters": parameters, "sha256": sha256}


async def _update_callbacks(session: AsyncSession, rows: Sequence[Values]) -> None:
    for attempt in range(1, _DUPLICATE_ATTEMPTS + 1):
        rows = await _delete_duplicates(session, rows)
        try:
            async with session.begin_nested():
                # Two statements, because one statement sets the same columns on all its rows. Rows without parameters
                # must not get any.
                await _update_rows(session, Callback, Callback.id, [row for row in rows if "parameters" in row])
                await _update_rows(session, Callback, Callback.id, [row for row in rows if "parameters" not in row])
        except IntegrityError:
            # A callback was delivered again after `_delete_duplicates`, so two rows have the same fingerprint.
            if attempt == _DUPLICATE_ATTEMPTS:
                raise
        else:
            return


async def _delete_duplicates(session: AsyncSession, rows: Sequence[Values]) -> list[Values]:
    """Delete the callbacks whose new fingerprint exists already, and return the other rows.

    Twilio delivered such a callback again after the policy had changed, so it was stored twice with two fingerprints.
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
    """Update all rows in one round trip. On a slow network, a round trip per row can exceed the transaction timeout."""
    if rows:
        connection = await session.connection()
        await connection.execute(update(table).where(key == bindparam("row_key")), rows)


def _is_after(cursor: Cursor, at: Any, key: Any) -> ColumnElement[bool]:
    # The second condition implies the first. Without the first condition, Postgres does not use the index on the time.
    return and_(at >= cursor.at, or_(at > cursor.at, key > cursor.key))
