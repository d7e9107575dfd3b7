"""What is forgotten, and when: Twilio's copies of recordings, parameters of old callbacks, numbers, old requests.

Everything is done in batches, each small enough for one transaction, and may be stopped and begun again anywhere.
"""

import secrets
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, delete, exists, func, null, or_, select, text, update
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Text

from amd_service.calls.intake import fingerprint
from amd_service.calls.privacy import NUMBER_FACTS, NumberPolicy
from amd_service.calls.tables import Base, Callback, CallLog, CallRequestRow, Recording
from amd_service.calls.tables.callback import WHOLE
from amd_service.calls.tables.recording import TO_ERASE
from amd_service.domain import REST_ROUTE, AccountSid, RawCallback, RecordingSid

# A claimed deletion that does not succeed is tried again after as long as the recording has been waiting already, but
# within these: soon after a short outage, once a day where Twilio keeps refusing.
_SHORTEST_DELAY = timedelta(minutes=5)
_LONGEST_DELAY = timedelta(days=1)

# An Idempotency-Key is remembered this long; nobody repeats a request to place a call a week later.
KEEP_REQUESTS_DAYS = 7

# In place of a fingerprint that numbers went into and that cannot be taken again. The same callback sent again is new.
_RANDOM = "random:"

# Each loses to a callback that is delivered again in the same moment.
_TWIN_ATTEMPTS = 5

# New values of a row by column, and its key as `of_row`.
Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Erasable:
    """A recording whose copy at Twilio is not needed any more."""

    recording_sid: RecordingSid
    account_sid: AccountSid


@dataclass(frozen=True, slots=True)
class Claim:
    """What one look brought: copies to delete, and how many recordings it looked at; 0 when none is left."""

    erasable: list[Erasable]
    seen: int


@dataclass(frozen=True, slots=True)
class Place:
    """How far a walk through a table has come: the time and the key of the last row it saw."""

    at: datetime
    key: Any


@dataclass(frozen=True, slots=True)
class Step:
    """One step of such a walk: the place it came to, None where the table ends, and how many rows it changed."""

    reached: Place | None
    changed: int


async def claim_erasable(session: AsyncSession, accounts: Collection[AccountSid], limit: int) -> Claim:
    """Look at up to `limit` recordings of `accounts` with a verdict, oldest first, and put them off to a later time.

    Those without a verdict are never taken: they may still be judged, or judged again. Nor are those of calls that
    only Twilio's API told of, however long they wait: another application of the account may need them.
    """
    # SKIP LOCKED: two workers share them. The clause is the index's own text, so that it is used.
    ready = (
        select(Recording.recording_sid)
        .where(text(TO_ERASE), Recording.erase_after <= func.now(), Recording.account_sid.in_(accounts))
        .order_by(Recording.erase_after)
        .limit(limit)
        .with_for_update(skip_locked=True, key_share=True)
    )
    taken = (await session.scalars(ready)).all()
    waited = func.now() - Recording.finished_at
    # Strangers are put off as well: looked at once a day, however many there are, they keep nobody waiting.
    statement = (
        update(Recording)
        .where(Recording.recording_sid.in_(taken))
        .values(erase_after=func.now() + func.greatest(_SHORTEST_DELAY, func.least(waited, _LONGEST_DELAY)))
        .returning(Recording.recording_sid, Recording.account_sid, _is_ours())
        .execution_options(synchronize_session=False)
    )
    rows = (await session.execute(statement)).all() if taken else []
    ours = [Erasable(RecordingSid(sid), AccountSid(account_sid)) for sid, account_sid, is_ours in rows if is_ours]
    return Claim(ours, len(rows))


def _is_ours() -> ColumnElement[bool]:
    """Whether a signed callback named the recording's call, or we asked Twilio to place it."""
    named = exists().where(Callback.route != REST_ROUTE, *_about_its_call(Callback))
    placed = exists().where(*_about_its_call(CallRequestRow))
    return or_(named.correlate(Recording), placed.correlate(Recording))


def _about_its_call(row: type[Callback | CallRequestRow]) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    # Of the same account: another one's token must not have a recording deleted either.
    return row.call_sid == Recording.call_sid, row.account_sid == Recording.account_sid


async def mark_erased(session: AsyncSession, recording_sid: RecordingSid) -> None:
    """Note that Twilio has no copy any more."""
    statement = update(Recording).where(Recording.recording_sid == recording_sid).values(erased_at=func.now())
    await session.execute(statement.execution_options(synchronize_session=False))


async def strip_callbacks(session: AsyncSession, *, days: int, limit: int) -> int:
    """Drop parameters, token and phone numbers of up to `limit` callbacks older than `days` days; how many.

    Fingerprint and facts stay: a replayed callback is still a duplicate, and a late one still finds its place. Where
    numbers must not be kept, `align_callbacks` takes the fingerprint too.
    """
    old = (
        select(Callback.id)
        .where(text(WHOLE), Callback.received_at < func.now() - timedelta(days=days))
        .order_by(Callback.received_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    taken = (await session.scalars(old)).all()
    numbers = array(NUMBER_FACTS, type_=Text)
    # null(), as None would be JSON's own null.
    values = {"parameters": null(), "idempotency_token": None, "facts": Callback.facts.op("-")(numbers)}
    statement = update(Callback).where(Callback.id.in_(taken)).values(**values)
    await session.execute(statement.execution_options(synchronize_session=False))
    return len(taken)


async def drop_requests(session: AsyncSession, limit: int) -> int:
    """Delete up to `limit` requests to place a call that nobody will repeat; how many.

    One whose call no callback named stays: it alone tells that the call is ours.
    """
    named = exists().where(Callback.call_sid == CallRequestRow.call_sid, Callback.route != REST_ROUTE)
    old = (
        select(CallRequestRow.key)
        .where(CallRequestRow.created_at < func.now() - timedelta(days=KEEP_REQUESTS_DAYS))
        .where(CallRequestRow.call_sid.is_(None) | named)
        .order_by(CallRequestRow.created_at)
        .limit(limit)
    )
    statement = delete(CallRequestRow).where(CallRequestRow.key.in_(old)).returning(CallRequestRow.key)
    return len((await session.scalars(statement.execution_options(synchronize_session=False))).all())


async def align_calls(session: AsyncSession, numbers: NumberPolicy, after: Place, limit: int) -> Step:
    """Bring the numbers of the next `limit` calls in line with the policy."""
    statement = (
        select(CallLog.call_sid, CallLog.created_at, CallLog.from_number, CallLog.to_number)
        .where(_beyond(after, CallLog.created_at, CallLog.call_sid))
        .order_by(CallLog.created_at, CallLog.call_sid)
        .limit(limit)
    )
    rows = (await session.execute(statement)).all()
    # In one order, so that two writers of several calls never wait for each other.
    in_line = (_call_in_line(row, numbers) for row in sorted(rows, key=lambda row: row.call_sid))
    changed = [values for values in in_line if values is not None]
    await _rewrite(session, CallLog, CallLog.call_sid, changed)
    return Step(Place(rows[-1].created_at, rows[-1].call_sid) if rows else None, len(changed))


def _call_in_line(row: Any, numbers: NumberPolicy) -> Values | None:
    wanted = (numbers.number(row.from_number), numbers.number(row.to_number))
    if wanted == (row.from_number, row.to_number):
        return None
    return {"of_row": row.call_sid, "from_number": wanted[0], "to_number": wanted[1]}


async def align_callbacks(session: AsyncSession, numbers: NumberPolicy, after: Place, limit: int) -> Step:
    """The same for the next `limit` callbacks: parameters, facts, and the fingerprint, which numbers went into."""
    columns = (Callback.id, Callback.received_at, Callback.route, Callback.sha256, Callback.parameters, Callback.facts)
    statement = (
        select(*columns)
        .where(_beyond(after, Callback.received_at, Callback.id))
        .order_by(Callback.received_at, Callback.id)
        .limit(limit)
    )
    rows = (await session.execute(statement)).all()
    in_line = (_callback_in_line(row, numbers) for row in rows)
    changed = [values for values in in_line if values is not None]
    await _rewrite_callbacks(session, changed)
    return Step(Place(rows[-1].received_at, rows[-1].id) if rows else None, len(changed))


def _callback_in_line(row: Any, numbers: NumberPolicy) -> Values | None:
    if numbers.keeps:
        return None
    values: Values = {"of_row": row.id, "facts": numbers.facts(row.facts)}
    if row.parameters is None:
        is_in_line = row.sha256.startswith(_RANDOM) and values["facts"] == row.facts
        # What numbers went into it is gone, so it cannot be taken again; as it is, they can be tried out on it.
        return None if is_in_line else values | {"sha256": _RANDOM + secrets.token_hex(16)}
    pairs = numbers.parameters(_pairs(row.parameters))
    values |= {"parameters": [list(pair) for pair in pairs], "sha256": fingerprint(RawCallback(row.route, pairs))}
    is_in_line = values["parameters"] == row.parameters and values["facts"] == row.facts
    return None if is_in_line else values


async def _rewrite_callbacks(session: AsyncSession, rows: Sequence[Values]) -> None:
    for attempt in range(1, _TWIN_ATTEMPTS + 1):
        rows = await _without_twins(session, rows)
        try:
            async with session.begin_nested():
                # Apart, as what was dropped must not be written: one statement sets the same columns of all its rows.
                await _rewrite(session, Callback, Callback.id, [row for row in rows if "parameters" in row])
                await _rewrite(session, Callback, Callback.id, [row for row in rows if "parameters" not in row])
        except IntegrityError:
            # One was delivered again since we looked, and is a twin by now.
            if attempt == _TWIN_ATTEMPTS:
                raise
        else:
            return


async def _without_twins(session: AsyncSession, rows: Sequence[Values]) -> list[Values]:
    """The rows but those that, delivered again since the policy was set, are there already in the form that stays."""
    known = select(Callback.sha256).where(
        Callback.sha256.in_([row["sha256"] for row in rows]), Callback.id.not_in([row["of_row"] for row in rows])
    )
    taken = set((await session.scalars(known)).all()) if rows else set()
    kept: dict[str, Values] = {}
    for row in rows:
        if row["sha256"] not in taken:
            kept.setdefault(row["sha256"], row)
    twins = {row["of_row"] for row in rows} - {row["of_row"] for row in kept.values()}
    if twins:
        await session.execute(delete(Callback).where(Callback.id.in_(twins)))
    return list(kept.values())


async def _rewrite(session: AsyncSession, table: type[Base], key: Any, rows: Sequence[Values]) -> None:
    """All in one round trip: with a slow network, one each would take longer than a transaction may."""
    if rows:
        connection = await session.connection()
        await connection.execute(update(table).where(key == bindparam("of_row")), rows)


def _pairs(parameters: Iterable[Sequence[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in parameters)


def _beyond(after: Place, at: Any, key: Any) -> Any:
    # The first half is implied by the second; alone it lets the index on the time be used.
    return and_(at >= after.at, or_(at > after.at, key > after.key))
