"""Deletes old data from this service's tables. Each function handles one batch in one transaction."""

from datetime import timedelta

from sqlalchemy import delete, func, null, select, text, update
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Text

from amd_service.calls.number_policy import NUMBER_FACTS
from amd_service.calls.tables import Callback, CallRequestRow
from amd_service.calls.tables.callback import WHOLE
from amd_service.domain import REST_ROUTE

# Days for which an Idempotency-Key is kept. Clients retry within minutes, never a week later.
KEEP_REQUESTS_DAYS = 7


async def strip_callbacks(session: AsyncSession, *, days: int, limit: int) -> int:
    """Delete parameters, token and phone numbers of up to `limit` callbacks older than `days` days, and return the
    number of these callbacks.

    The fingerprint and the facts (parsed values) are kept. A repeated delivery is therefore still a duplicate, and a
    late callback is still merged with the facts of its call. If numbers must not be kept, `number_backfill` replaces
    the fingerprint too.
    """
    old = (
        select(Callback.id)
        .where(text(WHOLE), Callback.received_at < func.now() - timedelta(days=days))
        .order_by(Callback.received_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    ids = (await session.scalars(old)).all()
    numbers = array(NUMBER_FACTS, type_=Text)
    # null() writes SQL's null. None would write JSON's null.
    values = {"parameters": null(), "idempotency_token": None, "facts": Callback.facts.op("-")(numbers)}
    statement = update(Callback).where(Callback.id.in_(ids)).values(**values)
    await session.execute(statement.execution_options(synchronize_session=False))
    return len(ids)


async def delete_old_requests(session: AsyncSession, limit: int) -> int:
    """Delete up to `limit` call requests that clients can no longer repeat, and return the number of deleted requests.

    A request is kept if no signed callback has named its call: the row is then the only proof that this service placed
    the call.
    """
    # A subquery with `limit` and not `exists`: Postgres would turn `exists` into a scan of the whole table `callback`.
    naming = select(Callback.id).where(Callback.call_sid == CallRequestRow.call_sid, Callback.route != REST_ROUTE)
    is_named = naming.limit(1).scalar_subquery().is_not(None)
    old = (
        select(CallRequestRow.key)
        .where(CallRequestRow.created_at < func.now() - timedelta(days=KEEP_REQUESTS_DAYS))
        .where(CallRequestRow.call_sid.is_(None) | is_named)
        .order_by(CallRequestRow.created_at)
        .limit(limit)
    )
    keys = (await session.scalars(old)).all()
    statement = delete(CallRequestRow).where(CallRequestRow.key.in_(keys)).returning(CallRequestRow.key)
    return len((await session.scalars(statement.execution_options(synchronize_session=False))).all())
