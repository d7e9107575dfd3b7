"""Queries for the length of the queues, and for the time when the next recording is due."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls.tables import AGAIN, FIRST, Delivery, Recording, RecordingState
from amd_service.calls.tables.delivery import DEAD, UNFINISHED
from amd_service.domain import DeliveryState


@dataclass(frozen=True, slots=True)
class Depth:
    """Length of a queue. `oldest_s`: seconds that the oldest job has waited, 0 if none waits."""

    by_state: dict[str, int]
    oldest_s: float


async def depth(session: AsyncSession) -> Depth:
    """Return the number of recordings without a verdict that are `queued` or `running`.

    The key `again` counts the unfinished recordings that have a verdict and are judged again. A recording waits from
    the time at which it is due. Reads only unfinished recordings, so old recordings cost no time.
    """
    statement = select(Recording.state, func.count()).where(text(FIRST)).group_by(Recording.state)
    counts = {state: count for state, count in await session.execute(statement)}  # noqa: C416 - a Row is no pair to mypy
    again = await session.scalar(select(func.count()).select_from(Recording).where(text(AGAIN)))
    by_state = {str(state): counts.get(state, 0) for state in (RecordingState.QUEUED, RecordingState.RUNNING)}
    due_in_s = await session.scalar(_seconds_until_due(FIRST))
    return Depth(by_state | {"again": again or 0}, max(0.0, -float(due_in_s or 0.0)))


async def delivery_depth(session: AsyncSession) -> Depth:
    """Return the number of deliveries that are `queued`, `running` or `dead`.

    An unfinished event waits from the time when it was written, and not from the time when it is due: the attempts for
    a backend that is down are due in the future.
    """
    age_s = func.extract("epoch", func.now() - func.min(Delivery.created_at))
    unfinished = select(Delivery.state, func.count(), age_s).where(text(UNFINISHED)).group_by(Delivery.state)
    by_state, oldest_s = dict.fromkeys(map(str, (DeliveryState.QUEUED, DeliveryState.RUNNING)), 0), 0.0
    for state, count, seconds in await session.execute(unfinished):
        by_state[state], oldest_s = count, max(oldest_s, float(seconds))
    dead = await session.scalar(select(func.count()).select_from(Delivery).where(text(DEAD)))
    return Depth(by_state | {str(DeliveryState.DEAD): dead or 0}, oldest_s)


async def seconds_until_due(session: AsyncSession) -> float | None:
    """Return the seconds until the next job is due or the next lease ends.

    Returns 0 if a job is due now, and None if the queue is empty.
    """
    first, again = _seconds_until_due(FIRST).scalar_subquery(), _seconds_until_due(AGAIN).scalar_subquery()
    earliest = await session.scalar(select(func.least(first, again)))  # least() ignores null
    return None if earliest is None else max(0.0, float(earliest))


def _seconds_until_due(condition: str) -> Select[Any]:
    """SQL: the seconds until the first recording with this condition is due. Negative if the recording is due."""
    seconds = func.extract("epoch", Recording.available_at - func.now())
    return select(seconds).where(text(condition)).order_by(Recording.available_at).limit(1)
