"""Postgres's notifications as a wake-up call. A notification is a hint: who misses one still finds the row."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from amd_service.database.database import connect
from amd_service.errors import DatabaseUnavailable
from amd_service.telemetry import Metrics, get_logger

log = get_logger(__name__)

# Set by the triggers on `recording` in the migrations.
CHANNEL = "amd_work"

_FIRST_DELAY_S = 0.1
_LONGEST_DELAY_S = 5.0
# A connection that a firewall has forgotten looks alive until somebody asks.
_CHECK_EVERY_S = 15.0
_CHECK_TIMEOUT_S = 5.0


class Listener:
    """Sets `wake` at every notification, and whenever it had to connect anew: one may have been missed."""

    def __init__(self, url: str, wake: asyncio.Event, metrics: Metrics) -> None:
        self._url = url
        self._wake = wake
        self._metrics = metrics
        self.listening = asyncio.Event()
        self.reconnects = 0

    async def run(self) -> None:
        """Listen until cancelled, connecting again however often that takes."""
        delay_s = _FIRST_DELAY_S
        while True:
            try:
                await self._listen()
            except (DatabaseUnavailable, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                if self.listening.is_set():
                    delay_s = _FIRST_DELAY_S
                self._note_loss(error)
            except Exception as error:
                # Whatever it was, a worker without its listener would only be slower and nobody would know why.
                log.exception("listener failed")
                self._note_loss(error)
            self.listening.clear()
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, _LONGEST_DELAY_S)

    def _note_loss(self, error: Exception) -> None:
        self.reconnects += 1
        self._metrics.loop_errors.labels("listener").inc()
        log.warning("listener lost its connection, polling meanwhile", error=str(error), reconnects=self.reconnects)

    async def _listen(self) -> None:
        connection = await connect(self._url, statement_timeout_s=_CHECK_TIMEOUT_S)
        try:
            lost = asyncio.Event()
            connection.add_termination_listener(lambda _connection: lost.set())
            await connection.add_listener(CHANNEL, self._notified)
            self.listening.set()
            self._wake.set()
            await self._until_lost(connection, lost)
        finally:
            connection.terminate()

    async def _until_lost(self, connection: Any, lost: asyncio.Event) -> None:
        while not lost.is_set():
            try:
                async with asyncio.timeout(_CHECK_EVERY_S):
                    await lost.wait()
            except TimeoutError:
                await connection.execute("select 1")
        raise DatabaseUnavailable("the server closed the connection")

    def _notified(self, *_: object) -> None:
        self._wake.set()


@asynccontextmanager
async def listen(url: str, wake: asyncio.Event, metrics: Metrics) -> AsyncIterator[Listener]:
    """Set `wake` whenever there may be new work, for as long as the context lasts. Needs no database to begin."""
    listener = Listener(url, wake, metrics)
    task = asyncio.create_task(listener.run())
    try:
        yield listener
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
