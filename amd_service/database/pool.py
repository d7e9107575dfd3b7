"""The connection pool and its transactions."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from amd_service.database.condition import Condition, ConditionWatch
from amd_service.database.connection import CONNECT_TIMEOUT_S, connect, create_engine
from amd_service.database.driver_errors import as_unavailable
from amd_service.database.listener import Listener, wake_on_notify
from amd_service.database.url import LISTEN_URL, read_url
from amd_service.telemetry import Metrics


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Time limits in seconds. Their defaults end a transaction well before the 15 seconds that Twilio waits.

    `pool_s`: the wait for a free connection. `transaction_s`: the whole transaction, including this wait.
    """

    connect_s: float = CONNECT_TIMEOUT_S
    pool_s: float = 3.0
    statement_s: float = 3.0
    transaction_s: float = 5.0


class Database:
    """A pool of connections to one Postgres. A process opens one Database, and calls `dispose()` at its end.

    `listen_url`: a direct connection to the same database for notifications, if `url` leads to a pooler.
    """

    def __init__(
        self, url: str, *, listen_url: str | None = None, pool_size: int = 10, timeouts: Timeouts = Timeouts()
    ) -> None:
        read_url(url)  # raises for an unusable URL, before the first connection
        if listen_url is not None:
            read_url(listen_url, LISTEN_URL)
        self.url = url
        self._listen_url = listen_url
        self._transaction_s = timeouts.transaction_s
        self._engine = create_engine(
            lambda: connect(self.url, statement_timeout_s=timeouts.statement_s, connect_timeout_s=timeouts.connect_s),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=timeouts.pool_s,
        )
        event.listen(self._engine.sync_engine, "checkout", _raise_if_closed)
        self._sessions = async_sessionmaker(self._engine, expire_on_commit=False)
        self._watch = ConditionWatch(self.transaction)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """Open a session in one transaction. Commits at the end, and rolls back on every error.

        Raises DatabaseUnavailable within a few seconds if Postgres is down, is busy or does not respond.
        """
        try:
            async with asyncio.timeout(self._transaction_s), self._sessions.begin() as session:
                yield session
        except Exception as error:
            unavailable = as_unavailable(error)
            if unavailable is None:
                raise
            raise unavailable from error

    def wake_on_notify(self, wake: asyncio.Event, metrics: Metrics) -> AbstractAsyncContextManager[Listener]:
        """Set `wake` whenever there may be new work, until the context ends."""
        if self._listen_url is None:
            return wake_on_notify(self.url, wake, metrics)
        return wake_on_notify(self._listen_url, wake, metrics, LISTEN_URL)

    async def condition(self) -> Condition:
        """Whether the service can work with the database. Cached for one second. Raises DatabaseUnavailable."""
        return await self._watch.condition()

    async def dispose(self) -> None:
        """Close every pooled connection."""
        await self._engine.dispose()


def _raise_if_closed(connection: Any, _record: object, _proxy: object) -> None:
    # If the server was restarted, asyncpg has marked the connection as closed, and the pool opens a new connection. In
    # contrast to a ping, this check needs no round trip and cannot hang if the network hangs.
    if connection.driver_connection.is_closed():
        raise DisconnectionError
