"""Store a verified callback of Twilio."""

import asyncio
from contextvars import Context
from dataclasses import dataclass

from structlog.contextvars import bound_contextvars

from amd_service.calls import intake
from amd_service.calls.intake import Event, NewCallback
from amd_service.calls.known_values import unknown_values
from amd_service.calls.number_policy import NumberPolicy
from amd_service.database.pool import Database
from amd_service.domain import RawCallback
from amd_service.errors import DatabaseLocked, DatabaseUnavailable
from amd_service.telemetry import Metrics, get_logger

__all__ = ["Event", "Inbox"]

log = get_logger(__name__)

# Maximum number of transactions that store callbacks at once, and of callbacks in one of them.
TRANSACTIONS = 2
CALLBACKS = 100
# Number of locked callbacks after which the rest of a batch is refused: somebody has then probably locked the table.
_MOST_LOCKED = 2


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A callback whose transaction has not begun. `is_new`: set to False for a duplicate when it is stored."""

    callback: NewCallback
    is_new: asyncio.Future[bool]


class Inbox:
    """Stores the callbacks of one process.

    The callbacks that arrive while TRANSACTIONS transactions run are stored together by the next one. So a callback
    that arrives alone is stored at once, and many callbacks share the price of a transaction. `stored` is set after
    each commit, so that the callbacks are folded.
    """

    def __init__(self, database: Database, numbers: NumberPolicy, metrics: Metrics, stored: asyncio.Event) -> None:
        self._database = database
        self._numbers = numbers
        self._metrics = metrics
        self._stored = stored
        self._waiting: list[_Waiting] = []
        self._writers: set[asyncio.Task[None]] = set()

    async def receive(self, raw: RawCallback, event: Event) -> None:
        """Store a callback and count it. A duplicate changes no row. Raises DatabaseUnavailable.

        `raw`: the callback as Twilio sent it. `event`: the parsed callback.
        """
        sids = {"call_sid": event.call_sid, "recording_sid": getattr(event, "recording_sid", None)}
        with bound_contextvars(**{name: sid for name, sid in sids.items() if sid}):
            try:
                is_new = await self._store(intake.new_callback(raw, event, self._numbers))
            except DatabaseUnavailable as error:
                log.error("callback not stored", route=raw.route, error=str(error))
                raise
            log.info("callback stored" if is_new else "duplicate callback", route=raw.route)
            if is_new:
                intake.warn_of_unusual_values(event)
        _count(raw.route, event, is_new, self._metrics)

    async def _store(self, callback: NewCallback) -> bool:
        waiting = _Waiting(callback, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if len(self._writers) < TRANSACTIONS:
            # An empty context: the log lines of this task concern several requests.
            writer = asyncio.create_task(self._write(), context=Context())
            self._writers.add(writer)
        return await waiting.is_new

    async def _write(self) -> None:
        try:
            await self._store_waiting()
        finally:
            # Not in a callback of the task, which would run later: a request in between would find no free writer.
            self._writers -= {asyncio.current_task()}

    async def _store_waiting(self) -> None:
        while self._waiting:
            batch = self._take(CALLBACKS)
            try:
                await self._store_batch(batch)
            except DatabaseLocked as error:
                # One of several may be a duplicate of a callback that another session has not committed yet.
                if len(batch) == 1:
                    _fail(batch, error)
                else:
                    await self._store_singly(batch)
            except DatabaseUnavailable as error:
                # The callbacks that wait for the next transaction are refused too: Twilio retries them later. If each
                # batch waited for the database in turn, the last of them would be answered too late.
                _fail([*batch, *self._take(len(self._waiting))], error)
            except Exception:
                log.exception("batch of callbacks not stored, storing one at a time", count=len(batch))
                await self._store_singly(batch)

    def _take(self, limit: int) -> list[_Waiting]:
        batch, self._waiting = self._waiting[:limit], self._waiting[limit:]
        return batch

    async def _store_batch(self, batch: list[_Waiting]) -> None:
        # Of equal callbacks, the first is new and the others are duplicates.
        first = {each.callback.sha256: each for each in reversed(batch)}
        async with self._database.transaction() as session:
            callbacks = [each.callback for each in batch if first[each.callback.sha256] is each]
            new = await intake.put_into_inbox(session, callbacks)
        self._stored.set()
        for each in batch:
            if not each.is_new.done():  # the request may have been cancelled
                each.is_new.set_result(each.callback.sha256 in new and first[each.callback.sha256] is each)

    async def _store_singly(self, batch: list[_Waiting]) -> None:
        """Store each callback in its own transaction. If that is hopeless, refuse the rest, and those that wait."""
        locked = 0
        for position, each in enumerate(batch):
            try:
                await self._store_batch([each])
            except DatabaseUnavailable as error:
                locked += 1
                if locked == _MOST_LOCKED or not isinstance(error, DatabaseLocked):
                    _fail([*batch[position:], *self._take(len(self._waiting))], error)
                    return
                _fail([each], error)
            except Exception as error:  # noqa: BLE001 - the request that waits for the result raises it
                _fail([each], error)


def _fail(batch: list[_Waiting], error: Exception) -> None:
    for each in batch:
        if not each.is_new.done():
            each.is_new.set_exception(error)


def _count(route: str, event: Event, is_new: bool, metrics: Metrics) -> None:
    if not is_new:
        metrics.callbacks.labels(route, "duplicate").inc()
        return
    metrics.callbacks.labels(route, "stored" if event.call_sid else "stored_without_call").inc()
    for parameter in unknown_values(event):
        metrics.unknown_values.labels(parameter).inc()
