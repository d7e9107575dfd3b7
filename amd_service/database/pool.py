"""The connection pool and its transactions."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from amd_service.database.connection import CONNECT_TIMEOUT_S, as_unavailable, connect
from amd_service.database.schema import SchemaState, SchemaWatch
from amd_service.database.url import driver_url


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Time limits in seconds. `pool_s`: the wait for a free connection. `transaction_s`: everything, connecting too.

    Together the defaults keep a webhook's response well inside the 15 seconds that Twilio waits.
    """

    connect_s: float = CONNECT_TIMEOUT_S
    pool_s: float = 3.0
    statement_s: float = 3.0
    transaction_s: float = 5.0


class Database:
    """A pool of connections to one Postgres. Open one per process and `dispose()` it at the end."""

    def __init__(self, url: str, *, pool_size: int = 10, timeouts: Timeouts = Timeouts()) -> None:
        self.url = driver_url(url)
        self._transaction_s = timeouts.transaction_s
        self._engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=lambda: connect(
                self.url, statement_timeout_s=timeouts.statement_s, connect_timeout_s=timeouts.connect_s
            ),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=timeouts.pool_s,
            hide_parameters=True,
        )
        event.listen(self._engine.sync_engine, "checkout", _raise_if_closed)
        self._sessions = async_sessionmaker(self._engine, expire_on_commit=False)
        self._schema = SchemaWatch(self.transaction)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """A session in one transaction: committed at the end, rolled back on any error.

        Raises DatabaseUnavailable within a few seconds if Postgres is down, busy or silent.
        """
        try:
            async with asyncio.timeout(self._transaction_s), self._sessions.begin() as session:
                yield session
        except Exception as error:
            unavailable = as_unavailable(error)
            if unavailable is None:
                raise
            raise unavailable from error

    async def schema_state(self) -> SchemaState:
        """Whether this version can work with the schema, cached for a second. Raises DatabaseUnavailable."""
        return await self._schema.state()

    async def dispose(self) -> None:
        """Close every pooled connection."""
        await self._engine.dispose()


def _raise_if_closed(connection: Any, _record: object, _proxy: object) -> None:
    # A restarted server has closed its sockets: asyncpg knows, and the pool opens a fresh connection instead.
    # Unlike a ping this costs no round trip, and cannot hang when the network does.
    if connection.driver_connection.is_closed():
        raise DisconnectionError
