"""What is forgotten, and when: Twilio's copies of recordings, parameters of old callbacks, numbers, old requests.

Everything is done in batches, each small enough for one transaction, and may be stopped and begun again anywhere.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, exists, func, null, or_, select, text, update
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Text

from amd_service.calls.intake import fingerprint
from amd_service.calls.privacy import NUMBER_FACTS, NumberPolicy
from amd_service.calls.tables import Callback, CallLog, CallRequest, Recording
from amd_service.calls.tables.callback import REST_ROUTE, WHOLE
from amd_service.calls.tables.recording import TO_ERASE
from amd_service.domain import AccountSid, RawCallback, RecordingSid

# A claimed deletion that does not succeed is tried again after as long as the recording has been waiting already, but
# within these: soon after a short outage, once a day where Twilio keeps refusing.
_SHORTEST_DELAY = timedelta(minutes=5)
_LONGEST_DELAY = timedelta(days=1)

# An Idempotency-Key is remembered this long; nobody repeats a request to place a call a week later.
KEEP_REQUESTS_DAYS = 7


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
    placed = exists().where(*_about_its_call(CallRequest))
    return or_(named.correlate(Recording), placed.correlate(Recording))


def _about_its_call(row: type[Callback | CallRequest]) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    # Of the same account: another one's token must not have a recording deleted either.
    return row.call_sid == Recording.call_sid, row.account_sid == Recording.account_sid


async def mark_erased(session: AsyncSession, recording_sid: RecordingSid) -> None:
    """Note that Twilio has no copy any more."""
    statement = update(Recording).where(Recording.recording_sid == recording_sid).values(erased_at=func.now())
    await session.execute(statement.execution_options(synchronize_session=False))


async def strip_callbacks(session: AsyncSession, *, days: int, limit: int) -> int:
    """Drop parameters, token and phone numbers of up to `limit` callbacks older than `days` days; how many.

    Fingerprint and facts stay: a replayed callback is still a duplicate, and a late one still finds its place.
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
    """Delete up to `limit` requests to place a call that nobody will repeat; how many."""
    old = (
        select(CallRequest.key)
        .where(CallRequest.created_at < func.now() - timedelta(days=KEEP_REQUESTS_DAYS))
        .order_by(CallRequest.created_at)
        .limit(limit)
    )
    statement = delete(CallRequest).where(CallRequest.key.in_(old)).returning(CallRequest.key)
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
    changed = 0
    # In one order, so that two writers of several calls never wait for each other.
    for row in sorted(rows, key=lambda row: row.call_sid):
        changed += await _align_call(session, numbers, row)
    return Step(Place(rows[-1].created_at, rows[-1].call_sid) if rows else None, changed)


async def _align_call(session: AsyncSession, numbers: NumberPolicy, row: Any) -> bool:
    stored = (row.from_number, row.to_number)
    wanted = (numbers.number(row.from_number), numbers.number(row.to_number))
    if wanted == stored:
        return False
    statement = update(CallLog).where(CallLog.call_sid == row.call_sid)
    statement = statement.values(from_number=wanted[0], to_number=wanted[1])
    await session.execute(statement.execution_options(synchronize_session=False))
    return True


async def align_callbacks(session: AsyncSession, numbers: NumberPolicy, after: Place, limit: int) -> Step:
    """The same for the next `limit` callbacks: parameters, facts, and the fingerprint, which numbers went into."""
    statement = (
        select(Callback.id, Callback.received_at, Callback.route, Callback.parameters, Callback.facts)
        .where(_beyond(after, Callback.received_at, Callback.id))
        .order_by(Callback.received_at, Callback.id)
        .limit(limit)
    )
    rows = (await session.execute(statement)).all()
    changed = 0
    for row in rows:
        changed += await _align_callback(session, numbers, row)
    return Step(Place(rows[-1].received_at, rows[-1].id) if rows else None, changed)


async def _align_callback(session: AsyncSession, numbers: NumberPolicy, row: Any) -> bool:
    values: dict[str, Any] = {"facts": numbers.facts(row.facts)}
    pairs = None if row.parameters is None else _pairs(row.parameters)
    if pairs is not None:
        values["parameters"] = [list(pair) for pair in numbers.parameters(pairs)]
    if all(values[name] == getattr(row, name) for name in values):
        return False
    if pairs is not None:
        values["sha256"] = fingerprint(RawCallback(row.route, numbers.parameters(pairs)))
        # Delivered again since the policy was set, it is there already, in the form that stays.
        twin = select(Callback.id).where(Callback.sha256 == values["sha256"], Callback.id != row.id)
        if await session.scalar(twin) is not None:
            await session.execute(delete(Callback).where(Callback.id == row.id))
            return True
    statement = update(Callback).where(Callback.id == row.id).values(**values)
    await session.execute(statement.execution_options(synchronize_session=False))
    return True


def _pairs(parameters: Iterable[Sequence[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in parameters)


def _beyond(after: Place, at: Any, key: Any) -> Any:
    # The first half is implied by the second; alone it lets the index on the time be used.
    return and_(at >= after.at, or_(at > after.at, key > after.key))
