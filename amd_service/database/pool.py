"""The connection pool and its transactions."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event, text
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from amd_service.database.changes import ChangeNotifier, note_writes, take_note
from amd_service.database.condition import Condition, ConditionWatch
from amd_service.database.connection import CONNECT_TIMEOUT_S, connect, create_engine, open_admin_engine
from amd_service.database.driver_errors import as_unavailable
from amd_service.database.listener import WORK, Channel, Listener, wake_on_notify
from amd_service.database.url import DATABASE_URL, LISTEN_URL, read_url
from amd_service.domain import DELIVERY_URLS
from amd_service.errors import ConfigurationError, DatabaseLocked, DatabaseUnavailable
from amd_service.telemetry import Metrics


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Time limits in seconds. Their defaults end a transaction well before the 15 seconds that Twilio waits.

    `pool_s`: the wait for a free connection. `lock_s`: the wait for a lock of another session. `statement_s`: one
    statement; the client waits `grace_s` longer, in case Postgres itself does not respond. `idle_s`: time between two
    statements of a transaction, after which Postgres ends the session and releases its locks. It is only reached by a
    process that was stopped in a transaction. `transaction_s`: the whole transaction, including the wait for the pool.
    """

    connect_s: float = CONNECT_TIMEOUT_S
    pool_s: float = 3.0
    lock_s: float = 2.0
    statement_s: float = 3.0
    grace_s: float = 0.5
    idle_s: float = 10.0
    transaction_s: float = 5.0


# The limits of a transaction. They are not limits of the session, because a pooler such as PgBouncer refuses settings
# at the start of a session and shares sessions between clients.
_SET_LIMITS = text(
    "select set_config('lock_timeout', :lock, true), set_config('statement_timeout', :statement, true),"
    " set_config('idle_in_transaction_session_timeout', :idle, true)"
)


class Database:
    """A pool of connections to one Postgres. A process opens one Database, and calls `dispose()` at its end.

    `listen_url`: a direct connection to the same database for notifications, if `url` leads to a pooler.
    `delivery_urls`: the backends that get an event about each new result of a call.
    """

    def __init__(
        self,
        url: str,
        *,
        listen_url: str | None = None,
        pool_size: int = 10,
        timeouts: Timeouts = Timeouts(),
        metrics: Metrics | None = None,
        delivery_urls: Sequence[str] = (),
    ) -> None:
        read_url(url)  # raises for an unusable URL, before the first connection
        if listen_url is not None:
            read_url(listen_url, LISTEN_URL)
        self.url = url
        self._listen_url = listen_url
        self._timeouts = timeouts
        self._limits = {"lock": timeouts.lock_s, "statement": timeouts.statement_s, "idle": timeouts.idle_s}
        self._metrics = metrics
        client_s = timeouts.statement_s + timeouts.grace_s
        self._engine = create_engine(
            lambda: connect(self.url, statement_timeout_s=client_s, connect_timeout_s=timeouts.connect_s),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=timeouts.pool_s,
        )
        event.listen(self._engine.sync_engine, "checkout", _raise_if_closed)
        event.listen(self._engine.sync_engine, "after_cursor_execute", note_writes)
        self._sessions = async_sessionmaker(self._engine, expire_on_commit=False, info={DELIVERY_URLS: delivery_urls})
        self._watch = ConditionWatch(self.transaction)
        self._changes = ChangeNotifier(self.transaction, metrics)
        self._read_slots = asyncio.Semaphore(max(1, pool_size // 3))
        self._lookup_slots = asyncio.Semaphore(max(1, pool_size // 5))

    @asynccontextmanager
    async def transaction(self, *, lock_s: float | None = None) -> AsyncIterator[AsyncSession]:
        """Open a session in one transaction. Commits at the end, and rolls back on every error.

        `lock_s`: seconds to wait for a lock of another session. Raises DatabaseUnavailable within a few seconds if
        Postgres is down, is busy or does not respond, and its subclass DatabaseLocked after waiting for a lock.
        """
        try:
            async with (
                asyncio.timeout(self._timeouts.transaction_s),
                self._sessions() as session,
                _terminate_if_stuck(session),
            ):
                limits = self._limits if lock_s is None else self._limits | {"lock": lock_s}
                await session.execute(_SET_LIMITS, {name: f"{limit * 1000:.0f}ms" for name, limit in limits.items()})
                connection = await session.connection()
                take_note(connection)
                yield session
                await session.flush()
                # The connection is closed after a rollback by the caller.
                has_changes = connection is not None and not connection.closed and take_note(connection)
                await session.commit()
                if has_changes:
                    self._changes.announce()
        except Exception as error:
            unavailable = as_unavailable(error)
            if unavailable is None:
                raise
            if self._metrics is not None and isinstance(unavailable, DatabaseLocked):
                self._metrics.lock_timeouts.inc()
            raise unavailable from error

    def reading(self) -> AbstractAsyncContextManager[AsyncSession]:
        """Open a transaction that only reads. Together such transactions use a third of the pool.

        Slow queries, for example of a dashboard, therefore leave connections for callbacks. Raises DatabaseUnavailable
        like `transaction`, also if no third of the pool becomes free in time.
        """
        return self._limited_to(self._read_slots)

    def looking_up(self) -> AbstractAsyncContextManager[AsyncSession]:
        """Open a transaction for a lookup by a key, such as the session of a request. Otherwise like `reading`.

        Lookups use a fifth of the pool, so that they need not wait for the slow queries of other people.
        """
        return self._limited_to(self._lookup_slots)

    @asynccontextmanager
    async def _limited_to(self, slots: asyncio.Semaphore) -> AsyncIterator[AsyncSession]:
        try:
            async with asyncio.timeout(self._timeouts.pool_s):
                await slots.acquire()
        except TimeoutError as error:
            raise DatabaseUnavailable("too many queries read the database at once") from error
        try:
            async with self.transaction() as session:
                yield session
        finally:
            slots.release()

    def wake_on_notify(
        self, wake: asyncio.Event, metrics: Metrics, channel: Channel = WORK
    ) -> AbstractAsyncContextManager[Listener]:
        """Set `wake` whenever there may be new work, until the context ends. `channel`: CHANGES for changed calls."""
        if self._listen_url is None:
            return wake_on_notify(self.url, wake, metrics, channel=channel)
        return wake_on_notify(self._listen_url, wake, metrics, LISTEN_URL, channel)

    async def check_listen_url(self) -> None:
        """Raise ConfigurationError if notifications would come from another database. Raises DatabaseUnavailable."""
        if self._listen_url is None:
            return
        name = text("select current_database()")
        async with (
            open_admin_engine(self._listen_url, LISTEN_URL) as engine,
            asyncio.timeout(self._timeouts.transaction_s),
            engine.connect() as connection,
        ):
            direct = await connection.scalar(name)
        async with self.transaction() as session:
            expected = await session.scalar(name)
        if direct != expected:
            raise ConfigurationError(f"{LISTEN_URL} leads to the database {direct}, and {DATABASE_URL} to {expected}")

    async def condition(self) -> Condition:
        """Whether the service can work with the database. Cached for one second. Raises DatabaseUnavailable."""
        return await self._watch.condition()

    async def dispose(self) -> None:
        """Notify the pages of the last changes, and close every pooled connection."""
        await self._changes.close()
        await self._engine.dispose()


@asynccontextmanager
async def _terminate_if_stuck(session: AsyncSession) -> AsyncIterator[None]:
    """Close the connection at once if the session is cancelled or Postgres does not respond.

    An orderly end would send a rollback and a cancel request, and wait several seconds for the responses.
    """
    connection = await (await session.connection()).get_raw_connection()
    try:
        yield
    except (asyncio.CancelledError, TimeoutError):
        if connection.driver_connection is not None:
            connection.driver_connection.terminate()
        await session.invalidate()
        raise


def _raise_if_closed(connection: Any, _record: object, _proxy: object) -> None:
    # If the server was restarted, asyncpg has marked the connection as closed, and the pool opens a new connection. In
    # contrast to a ping, this check needs no round trip and cannot hang if the network hangs.
    if connection.driver_connection.is_closed():
        raise DisconnectionError
