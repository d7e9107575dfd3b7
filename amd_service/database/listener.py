"""Wakes a worker or the open pages by LISTEN/NOTIFY. A notification may get lost, so both poll as well."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg

from amd_service.database.connection import connect, is_pooled
from amd_service.database.url import DATABASE_URL
from amd_service.errors import DatabaseUnavailable
from amd_service.telemetry import Metrics, get_logger

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel of notifications.

    `lock`: key of an advisory lock that every listener holds, so that others can find out whether anybody listens.
    """

    name: str
    lock: int | None = None


# A trigger in the migrations notifies this channel of new work.
WORK = Channel("amd_work")
# `database/changes.py` notifies this channel of changed calls.
CHANGES = Channel("amd_changes", lock=7312841)

_FIRST_DELAY_S = 0.1
_LONGEST_DELAY_S = 5.0
# A firewall can drop a connection silently. Only a statement on the connection detects the loss, so one is sent after
# this number of seconds without a notification.
_CHECK_EVERY_S = 15.0
_CHECK_TIMEOUT_S = 5.0


class Listener:
    """Sets `wake` at every notification, and at every reconnect, because notifications may have been missed.

    `setting`: the setting that contains `url`.
    """

    def __init__(
        self, url: str, wake: asyncio.Event, metrics: Metrics, setting: str = DATABASE_URL, channel: Channel = WORK
    ) -> None:
        self._url = url
        self._setting = setting
        self._channel = channel
        self._wake = wake
        self._metrics = metrics
        self.listening = asyncio.Event()
        self.reconnects = 0

    async def run(self) -> None:
        """Listen until cancelled. Reconnects after every loss of the connection.

        Returns if AMD_DATABASE_URL leads to a pooler: with transaction pooling, a notification reaches any client.
        """
        delay_s = _FIRST_DELAY_S
        while True:
            try:
                if not await self._listen_until_lost():
                    log.warning(
                        "AMD_DATABASE_URL leads to a connection pooler, polling; to start work and to update pages "
                        "without a delay, set AMD_DATABASE_LISTEN_URL to a direct connection",
                        channel=self._channel.name,
                    )
                    return
            except (DatabaseUnavailable, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                if self.listening.is_set():
                    delay_s = _FIRST_DELAY_S
                self._record_loss(error)
            except Exception as error:
                # Without this handler the listener would end. The worker would only get slower, without an error.
                log.exception("listener failed")
                self._record_loss(error)
            self.listening.clear()
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, _LONGEST_DELAY_S)

    def _record_loss(self, error: Exception) -> None:
        self.reconnects += 1
        self._metrics.loop_errors.labels("listener").inc()
        log.warning(
            "listener connection lost, polling",
            error=str(error),
            reconnects=self.reconnects,
            channel=self._channel.name,
        )

    async def _listen_until_lost(self) -> bool:
        """Listen until the connection is lost. The loss raises an error. Returns False if a pooler answers."""
        connection = await connect(self._url, statement_timeout_s=_CHECK_TIMEOUT_S, setting=self._setting)
        try:
            # A pooler with session pooling delivers notifications, but a client cannot see the mode of a pooler. So a
            # pooler is used only if the user has chosen it for this purpose.
            if self._setting == DATABASE_URL and await is_pooled(connection):
                return False
            lost = asyncio.Event()
            connection.add_termination_listener(lambda _connection: lost.set())
            await connection.add_listener(self._channel.name, lambda *_notification: self._wake.set())
            if self._channel.lock is not None:
                await connection.execute("select pg_advisory_lock_shared($1)", self._channel.lock)
            self.listening.set()
            self._wake.set()
            await _raise_when_lost(connection, lost)
        finally:
            connection.terminate()
        return True


async def _raise_when_lost(connection: Any, lost: asyncio.Event) -> None:
    while not lost.is_set():
        try:
            async with asyncio.timeout(_CHECK_EVERY_S):
                await lost.wait()
        except TimeoutError:
            await connection.execute("select 1")
    raise DatabaseUnavailable("the server closed the connection")


@asynccontextmanager
async def wake_on_notify(
    url: str, wake: asyncio.Event, metrics: Metrics, setting: str = DATABASE_URL, channel: Channel = WORK
) -> AsyncIterator[Listener]:
    """Set `wake` at every notification, until the context ends. Works without a database at the start."""
    listener = Listener(url, wake, metrics, setting, channel)
    task = asyncio.create_task(listener.run())
    try:
        yield listener
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
