"""Notifies the pages of all processes that calls have changed. See docs/decisions/0024-notifying-pages.md."""

import asyncio
import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.database.listener import CHANGES
from amd_service.errors import DatabaseUnavailable
from amd_service.telemetry import Metrics, get_logger

log = get_logger(__name__)

# Minimum seconds between two notifications of one process.
EVERY_S = 0.25

_WRITE = re.compile(r"\b(?:insert into|update|delete from) (?:call_log|review|verdict)\b", re.IGNORECASE)
_KEY = "has_written_calls"

# Every listener holds the lock, so the lock is free only if no page is open. The notification then costs nothing.
_NOTIFY = text(
    f"select set_config('synchronous_commit', 'off', true), pg_notify('{CHANGES.name}', '')"
    f" where not pg_try_advisory_xact_lock({CHANGES.lock})"
)


def note_writes(connection: Any, _cursor: object, statement: str, *_more: object) -> None:
    """Remember in the connection that its transaction has written calls, verdicts or reviews.

    A listener for SQLAlchemy's event `after_cursor_execute`.
    """
    if _WRITE.search(statement):
        connection.info[_KEY] = True


def take_note(connection: Any) -> bool:
    """Return whether `note_writes` has noted a write since the last call."""
    return bool(connection.info.pop(_KEY, False))


class ChangeNotifier:
    """Notifies the open pages after commits, at most every EVERY_S seconds.

    A notification inside the transaction of a callback would delay it: Postgres lets only one transaction commit at a
    time if they notify.
    """

    def __init__(
        self, transaction: Callable[[], AbstractAsyncContextManager[AsyncSession]], metrics: Metrics | None
    ) -> None:
        self._transaction = transaction
        self._metrics = metrics
        self._pending = False
        self._task: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    def announce(self) -> None:
        """Notify the pages soon. Returns at once."""
        self._pending = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Send the last notification, if one is pending. The notifier can be used again afterwards."""
        self._closing.set()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
        if self._pending:
            await self._notify()
        self._closing.clear()

    async def _run(self) -> None:
        while self._pending and not self._closing.is_set():
            await self._notify()
            try:
                async with asyncio.timeout(EVERY_S):
                    await self._closing.wait()
            except TimeoutError:
                continue

    async def _notify(self) -> None:
        self._pending = False
        try:
            async with self._transaction() as session:
                await session.execute(_NOTIFY)
        except DatabaseUnavailable as error:
            # Pages also poll, so they show the change some seconds later.
            log.info("pages not notified of changes", error=str(error))
            if self._metrics is not None:
                self._metrics.loop_errors.labels("notify").inc()
