"""Hands out calls for review: one at a time, each to one person."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic

from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls import reviews
from amd_service.calls.review_sample import SamplingPlan, count_reviewed, count_waiting, waiting_calls
from amd_service.calls.tables import CallLog, Recording, Review
from amd_service.database.pool import Database
from amd_service.domain import CallSid, ReviewQueue

# Seconds for which nobody else gets a call that a person has opened.
HOLD_S = 300.0
# Seconds for which a person does not get a call again that the person skipped.
SKIP_S = 3600.0
MAX_REMEMBERED = 10_000


class OpenCalls:
    """Remembers which calls are open with whom, and which calls were skipped, in the memory of this process.

    A second process can hand out the same call. That is harmless: the later answer is a second opinion.
    """

    def __init__(self, *, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._held: dict[str, tuple[str, float]] = {}
        self._skipped: dict[tuple[str, str], float] = {}

    def hold(self, call_sid: str, reviewer: str) -> bool:
        """Give a call to a person for `HOLD_S` seconds. Returns False if another person has it."""
        if call_sid in self.unavailable(reviewer):
            return False
        # One call for each person: the earlier call is free again.
        self._held = {sid: held for sid, held in self._held.items() if held[0] != reviewer}
        self._held[call_sid] = reviewer, self._clock() + HOLD_S
        return True

    def skip(self, call_sid: str, reviewer: str) -> None:
        """Do not give this call to this person for `SKIP_S` seconds."""
        self._held.pop(call_sid, None)
        if len(self._skipped) >= MAX_REMEMBERED:
            self._skipped.clear()
        self._skipped[reviewer, call_sid] = self._clock() + SKIP_S

    def unavailable(self, reviewer: str) -> set[str]:
        """Return the calls that this person must not get now."""
        now = self._clock()
        held = {sid for sid, (holder, until) in self._held.items() if holder != reviewer and until > now}
        return held | {sid for (skipper, sid), until in self._skipped.items() if skipper == reviewer and until > now}


@dataclass(frozen=True, slots=True)
class ReviewTask:
    """A call that a person listens to. `channel`: the called party's. `own`: the person's latest answer about it."""

    call: CallLog
    recording: Recording
    channel: int | None
    own: Review | None


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """`waiting`: calls of each queue that wait for the person, at most MAX_COUNTED. `reviewed`: of the open queue."""

    waiting: Mapping[ReviewQueue, int]
    reviewed: int


async def next_call(
    database: Database, plan: SamplingPlan, open_calls: OpenCalls, queue: ReviewQueue, reviewer: str
) -> ReviewTask | None:
    """Return the next call of a queue for a person. None if none is left, or if others have the rest open.

    Raises DatabaseUnavailable.
    """
    async with database.reading() as session:
        while True:
            waiting = waiting_calls(queue, plan, reviewer)
            unavailable = open_calls.unavailable(reviewer)
            call_sid = await session.scalar(waiting.where(CallLog.call_sid.not_in(unavailable)).limit(1))
            if call_sid is None:
                return None
            # Two people can get the same answer of the database at the same time. The later one asks again.
            if open_calls.hold(call_sid, reviewer):
                break
        return await _task(session, CallSid(call_sid), reviewer)


async def answered_call(database: Database, call_sid: CallSid, reviewer: str) -> ReviewTask | None:
    """Return a call that this person has answered before. None for any other call. Raises DatabaseUnavailable."""
    async with database.reading() as session:
        task = await _task(session, call_sid, reviewer)
    return task if task is not None and task.own is not None else None


async def count_queues(database: Database, plan: SamplingPlan, queue: ReviewQueue, reviewer: str) -> QueueCounts:
    """Count the calls of all queues. Raises DatabaseUnavailable."""
    async with database.reading() as session:
        waiting = {each: await count_waiting(session, each, plan, reviewer) for each in ReviewQueue}
        is_of_first_opinions = queue not in (ReviewQueue.SECOND, ReviewQueue.RECHECK)
        reviewed = await count_reviewed(session, queue, plan) if is_of_first_opinions else 0
    return QueueCounts(waiting, reviewed)


async def _task(session: AsyncSession, call_sid: CallSid, reviewer: str) -> ReviewTask | None:
    call = await session.get(CallLog, call_sid)
    recording = await reviews.find_recording_to_hear(session, call_sid)
    if call is None or recording is None:
        return None
    channel = await reviews.find_judged_channel(session, recording.recording_sid)
    own = await reviews.answers_of(session, call_sid, reviewer)
    return ReviewTask(call, recording, channel, own[0] if own else None)
