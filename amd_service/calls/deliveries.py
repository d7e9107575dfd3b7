"""The queue of deliveries, stored in the table `delivery`: claim, heartbeat, settle, retry, give up, redrive."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, delete, exists, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from amd_service.calls.leases import RUNNING, Leases, from_now, new_token
from amd_service.calls.storable import storable
from amd_service.calls.tables import CallLog, Delivery, Recording
from amd_service.calls.tables.delivery import DEAD, FINISHED, UNFINISHED
from amd_service.domain import CallSid, DeliveryJob, DeliveryState

# Seconds from the first request until a failed request is no longer repeated.
RETRY_S = 3 * 86_400.0

_LEASES = Leases(Delivery, Delivery.id)

# SQL: an earlier event of the same call and URL is not finished. Events of a call are sent one after the other.
_earlier = aliased(Delivery)
_IS_BLOCKED: ColumnElement[bool] = exists().where(
    _earlier.call_sid == Delivery.call_sid,
    _earlier.url == Delivery.url,
    _earlier.sequence < Delivery.sequence,
    _earlier.state.in_((DeliveryState.QUEUED, DeliveryState.RUNNING)),
)


# SQL: span of the callback that led to the verdict of the call. Null for a call without a verdict.
_TRACEPARENT = (
    select(Recording.traceparent)
    .join(CallLog, CallLog.recording_sid == Recording.recording_sid)
    .where(CallLog.call_sid == Delivery.call_sid)
    .correlate(Delivery)
    .scalar_subquery()
)


async def claim(session: AsyncSession, *, url: str, worker: str, limit: int, lease_s: float) -> list[DeliveryJob]:
    """Claim up to `limit` due deliveries to `url` for `lease_s` seconds."""
    due = select(Delivery.id).where(
        text(f"delivery.{UNFINISHED}"), Delivery.url == url, Delivery.available_at <= func.now(), ~_IS_BLOCKED
    )
    # SKIP LOCKED: two workers claim different rows.
    locked = due.order_by(Delivery.available_at, Delivery.id).limit(limit).with_for_update(skip_locked=True)
    ids = (await session.scalars(locked)).all()
    statement = (
        update(Delivery)
        .where(Delivery.id.in_(ids))
        .values(
            state=RUNNING,
            attempts=Delivery.attempts + 1,
            locked_by=new_token(worker),
            available_at=from_now(lease_s),
            retry_until=func.coalesce(Delivery.retry_until, from_now(RETRY_S)),
        )
        .returning(Delivery, func.extract("epoch", Delivery.retry_until - func.now()), _TRACEPARENT)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    claimed = (await session.execute(statement)).all() if ids else []
    return [_job(row, float(left_s), traceparent) for row, left_s, traceparent in claimed]


def _job(row: Delivery, left_s: float, traceparent: str | None) -> DeliveryJob:
    return DeliveryJob(
        id=row.id,
        call_sid=CallSid(row.call_sid),
        sequence=row.sequence,
        url=row.url,
        payload=row.payload,
        attempts=row.attempts,
        left_s=left_s,
        locked_by=row.locked_by or "",
        traceparent=traceparent,
    )


async def seconds_until_due(session: AsyncSession, url: str) -> float | None:
    """Return the seconds until the next delivery to `url` is due, 0 if one is due now, None if the queue is empty."""
    seconds = func.extract("epoch", Delivery.available_at - func.now())
    waiting = select(seconds).where(text(f"delivery.{UNFINISHED}"), Delivery.url == url, ~_IS_BLOCKED)
    earliest = await session.scalar(waiting.order_by(Delivery.available_at).limit(1))
    return None if earliest is None else max(0.0, float(earliest))


async def heartbeat(session: AsyncSession, *, jobs: Sequence[DeliveryJob], lease_s: float) -> frozenset[DeliveryJob]:
    """Extend the lease of every job to `lease_s` seconds from now. Returns the jobs whose lease is not lost."""
    return await _LEASES.heartbeat(session, {(job.id, job.locked_by): job for job in jobs}, lease_s=lease_s)


async def settle(session: AsyncSession, job: DeliveryJob, status: int) -> bool:
    """Finish a delivery that the backend accepted. Returns False if the lease was lost."""
    return await _end_attempt(
        session, job, state=DeliveryState.DONE, finished_at=func.now(), last_status=status, last_error=None
    )


async def retry_later(
    session: AsyncSession, job: DeliveryJob, *, delay_s: float, error: str, status: int | None
) -> bool:
    """Send the event again in `delay_s` seconds. Returns False if the lease was lost."""
    return await _end_attempt(
        session,
        job,
        state=DeliveryState.QUEUED,
        available_at=from_now(delay_s),
        last_status=status,
        last_error=storable(error),
    )


async def release(session: AsyncSession, job: DeliveryJob) -> bool:
    """End an interrupted attempt without counting it. Returns False if the lease was lost."""
    return await _end_attempt(
        session, job, state=DeliveryState.QUEUED, available_at=func.now(), attempts=Delivery.attempts - 1
    )


async def give_up(session: AsyncSession, job: DeliveryJob, *, error: str, status: int | None) -> bool:
    """End a delivery without success. Later events of the call are then sent. Returns False if the lease was lost."""
    return await _end_attempt(
        session,
        job,
        state=DeliveryState.DEAD,
        finished_at=func.now(),
        last_status=status,
        last_error=storable(error),
    )


async def give_up_unclaimed(session: AsyncSession, *, urls: Sequence[str], limit: int) -> int:
    """End up to `limit` deliveries to other URLs than `urls` that no worker has claimed. Returns their number.

    A delivery ends three days after it was due. Until then, another process may still have its URL in the settings.
    """
    unclaimed = select(Delivery.id).where(
        text(f"delivery.{UNFINISHED}"),
        Delivery.url.not_in(urls),
        Delivery.available_at < from_now(-RETRY_S),
        ~_IS_BLOCKED,
    )
    ids = (await session.scalars(unclaimed.limit(limit).with_for_update(skip_locked=True))).all()
    statement = update(Delivery).where(Delivery.id.in_(ids)).execution_options(synchronize_session=False)
    error = "no worker has sent it for three days: AMD_DELIVERY_URL does not contain its URL"
    await session.execute(
        statement.values(state=DeliveryState.DEAD, finished_at=func.now(), locked_by=None, last_error=error)
    )
    return len(ids)


async def _end_attempt(session: AsyncSession, job: DeliveryJob, **values: Any) -> bool:
    return await _LEASES.end_attempt(session, job.id, job.locked_by, **values)


async def known_ids(session: AsyncSession, ids: Sequence[int]) -> set[int]:
    """Return those of the numbers that a delivery has."""
    return set((await session.scalars(select(Delivery.id).where(Delivery.id.in_(ids)))).all())


async def redrive(
    session: AsyncSession, *, call_sid: str | None, delivery_ids: Sequence[int] | None, limit: int
) -> int:
    """Make up to `limit` dead deliveries due again, oldest first. Returns their number.

    `call_sid`, `delivery_ids`: only this call or these deliveries.
    """
    dead = select(Delivery.id).where(text("delivery.state = 'dead'"))
    if call_sid is not None:
        dead = dead.where(Delivery.call_sid == call_sid)
    if delivery_ids is not None:
        dead = dead.where(Delivery.id.in_(delivery_ids))
    ids = (await session.scalars(dead.order_by(Delivery.id).limit(limit).with_for_update())).all()
    statement = update(Delivery).where(Delivery.id.in_(ids))
    values = {"state": DeliveryState.QUEUED, "attempts": 0, "retry_until": None, "finished_at": None}
    await session.execute(
        statement.values(available_at=func.now(), **values).execution_options(synchronize_session=False)
    )
    return len(ids)


async def list_deliveries(
    session: AsyncSession, *, call_sid: str | None = None, state: DeliveryState | None = None, limit: int
) -> list[Delivery]:
    """Return up to `limit` deliveries, newest first."""
    found = select(Delivery).order_by(Delivery.id.desc()).limit(limit)
    if call_sid is not None:
        found = found.where(Delivery.call_sid == call_sid)
    if state is not None:
        found = found.where(Delivery.state == state)
        if state != DeliveryState.DONE:
            # Repeats the condition of a partial index. Otherwise Postgres would read the finished rows, too.
            found = found.where(text(f"delivery.{DEAD if state == DeliveryState.DEAD else UNFINISHED}"))
    return list((await session.scalars(found)).all())


async def delete_finished(session: AsyncSession, *, days: float, limit: int) -> int:
    """Delete up to `limit` deliveries that were finished more than `days` days ago. Returns their number."""
    old = (
        select(Delivery.id)
        .where(text(FINISHED), Delivery.finished_at < from_now(-days * 86_400))
        .order_by(Delivery.finished_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    ids = (await session.scalars(old)).all()
    await session.execute(delete(Delivery).where(Delivery.id.in_(ids)).execution_options(synchronize_session=False))
    return len(ids)
