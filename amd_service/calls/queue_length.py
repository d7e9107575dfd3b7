"""Queries for the length of the queue of recordings, and for the time when the next recording is due."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls.tables import AGAIN, FIRST, Recording, RecordingState


@dataclass(frozen=True, slots=True)
class Depth:
    """Length of the queue.

    `by_state`: number of `queued` and `running` recordings without a verdict. The key `again` counts the unfinished
    recordings that have a verdict and are judged again. `oldest_due_s`: seconds since the oldest due recording without
    a verdict became due; 0 if none is due.
    """

    by_state: dict[str, int]
    oldest_due_s: float


async def depth(session: AsyncSession) -> Depth:
    """Return the current length of the queue. Reads only unfinished recordings, so old recordings cost no time."""
    statement = select(Recording.state, func.count()).where(text(FIRST)).group_by(Recording.state)
    counts = {state: count for state, count in await session.execute(statement)}  # noqa: C416 - a Row is no pair to mypy
    again = await session.scalar(select(func.count()).select_from(Recording).where(text(AGAIN)))
    by_state = {str(state): counts.get(state, 0) for state in (RecordingState.QUEUED, RecordingState.RUNNING)}
    due_in_s = await session.scalar(_seconds_until_due(FIRST))
    return Depth(by_state | {"again": again or 0}, max(0.0, -float(due_in_s or 0.0)))


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
