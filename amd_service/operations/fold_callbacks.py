"""Folds the callbacks in the inbox into the rows of their calls and recordings."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls import inbox
from amd_service.calls.folding import Unfolded, fold
from amd_service.database.driver_errors import without_values
from amd_service.database.pool import Database
from amd_service.errors import DatabaseLocked, DatabaseUnavailable
from amd_service.telemetry import Metrics, get_logger

log = get_logger(__name__)

# Maximum number of seconds until callbacks are folded that another process has stored and left, because it was killed.
# A process folds its own callbacks at once.
FOLD_EVERY_S = 1.0
# Seconds between two folds while callbacks keep arriving, so that several of them share a transaction. It adds to the
# time until a row is visible.
FOLD_PAUSE_S = 0.02

# Callbacks per transaction. A larger batch is cheaper per callback, but it blocks the event loop for longer.
_BATCH = 40
# Seconds that a fold waits for a lock, and the number of locked calls after which a pass ends: somebody has then
# probably locked the whole table.
_LOCK_S = 0.2
# Shortest delay of a call that blocked a whole batch: longer than a pass over _MOST_LOCKED such calls, so that the next
# pass reaches other calls.
_BLOCKING_S = 2.0
_MOST_LOCKED = 5
# Ids before the last claimed one at which the next search begins: another transaction may commit a lower id later.
_MARGIN = 1000


@dataclass(slots=True)
class _Start:
    """Where the search for due callbacks begins: above an id, and from `whole_at` on with the oldest callback.

    Postgres cannot remove the deleted rows of the inbox while another session keeps an old transaction open. A search
    from the oldest callback reads them all, so it happens once per FOLD_EVERY_S, and after a lock.
    """

    above: int = 0
    whole_at: float = 0.0


@dataclass(slots=True)
class _Pass:
    """The progress of one pass over the inbox."""

    folded: int = 0
    locked: int = 0


@dataclass(frozen=True, slots=True)
class Folder:
    """Folds callbacks. Any number of processes may fold at once. `wake`: set when there are callbacks to fold."""

    database: Database
    metrics: Metrics
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    _start: _Start = field(default_factory=_Start, init=False)

    async def fold_waiting(self) -> int:
        """Fold every callback that is due, and return their number. Raises DatabaseUnavailable.

        Callbacks that meet a lock are left, and `wake` is set soon.
        """
        done, loop = _Pass(), asyncio.get_running_loop()
        while await self._fold_batch(done):
            continue
        if done.locked:
            self._start.whole_at = min(self._start.whole_at, loop.time() + inbox.LOCKED_S)
            loop.call_later(inbox.LOCKED_S, self.wake.set)
        return done.folded

    async def _fold_batch(self, done: _Pass) -> bool:
        """Fold one batch. Returns True if another batch may find more callbacks."""
        try:
            return await self._fold_together(done)
        except DatabaseUnavailable as error:
            # A lock, or a batch that takes too long and would be claimed again for ever. If Postgres is down, the next
            # statement raises.
            has_more = await self._fold_singly(done)
            log.warning("batch folded one call at a time", error=str(error))
            return has_more
        except Exception:
            log.exception("batch not folded, folding one call at a time")
        return await self._fold_singly(done)

    async def _fold_together(self, done: _Pass) -> bool:
        now = asyncio.get_running_loop().time()
        if now >= self._start.whole_at:
            self._start.above, self._start.whole_at = 0, now + FOLD_EVERY_S
        async with self.database.transaction(lock_s=_LOCK_S) as session:
            unfolded = await inbox.claim(session, _BATCH, above=self._start.above)
            left = await self._fold(session, unfolded, skip_locked=True)
        if unfolded:
            self._start.above = max(self._start.above, unfolded[-1].callback_id - _MARGIN)
        done.folded += len(unfolded) - left
        done.locked += left
        return len(unfolded) == _BATCH

    async def _fold(self, session: AsyncSession, unfolded: Sequence[Unfolded], *, skip_locked: bool) -> int:
        """Fold claimed callbacks. Returns the number of callbacks that met a lock."""
        if not unfolded:
            return 0
        folded = await fold(session, unfolded, skip_locked=skip_locked)
        left = [one for one in unfolded if one.callback_id not in folded.done | folded.unreadable.keys()]
        await inbox.put_back(session, left)
        for one in unfolded:
            if (reason := folded.unreadable.get(one.callback_id)) is not None:
                self.metrics.loop_errors.labels("folding").inc()
                log.error("callback unreadable, kept in the inbox", callback_id=one.callback_id, error=reason)
                await inbox.put_back(session, [one], reason)
        return len(left)

    async def _fold_singly(self, done: _Pass) -> bool:
        """Fold each call of the next batch in its own transaction, so that a call that fails delays no other call."""
        async with self.database.transaction() as session:
            calls = await inbox.due_calls(session, _BATCH)
        folded = 0
        for call_sid in calls:
            try:
                async with self.database.transaction(lock_s=_LOCK_S) as session:
                    unfolded = await inbox.claim(session, _BATCH, call_sid=call_sid)
                    await self._fold(session, unfolded, skip_locked=False)
                folded += len(unfolded)
            except DatabaseLocked:
                await self._put_back(call_sid)  # otherwise the oldest callbacks, if locked, would stop all others
                done.locked += 1
                if done.locked >= _MOST_LOCKED:
                    break
            except Exception as error:
                self.metrics.loop_errors.labels("folding").inc()
                log.error("callbacks not folded, kept in the inbox", call_sid=call_sid, exc_info=error)
                await self._put_back(call_sid, without_values(error))
        done.folded += folded
        return folded > 0

    async def _put_back(self, call_sid: str, error: str | None = None) -> None:
        async with self.database.transaction() as session:
            unfolded = await inbox.claim(session, _BATCH, call_sid=call_sid)
            await inbox.put_back(session, unfolded, error, locked_s=_BLOCKING_S)
