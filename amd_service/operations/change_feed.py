"""Tells the open pages of a process that calls have changed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from amd_service.database.listener import CHANGES
from amd_service.database.pool import Database
from amd_service.telemetry import Metrics

# Minimum seconds between two updates of a page.
EVERY_S = 0.25
# Maximum number of updates of all pages of a process within a second. The pages are updated one after another, because
# a callback that arrives meanwhile would wait for all of them.
UPDATES_PER_S = 40
# Seconds without a notification after which pages read again, because a notification may get lost.
READ_AGAIN_S = 10.0
# The same while the process cannot listen, for example behind a pooler.
POLL_S = 3.0


class ChangeFeed:
    """Wakes the open pages of one process. Listens for notifications only while pages are open.

    `version` grows with every change. It tells whether something was read before or after the change.
    """

    def __init__(self, database: Database, metrics: Metrics, *, poll_s: float = POLL_S) -> None:
        self.version = 0
        self.is_closed = False
        self._database = database
        self._metrics = metrics
        self._poll_s = poll_s
        self._pages: set[asyncio.Event] = set()
        self._listening: asyncio.Task[None] | None = None

    @property
    def open_pages(self) -> int:
        return len(self._pages)

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[asyncio.Event]:
        """Yield an event for one page. It is set now, after every change, and when the feed closes."""
        changed = asyncio.Event()
        changed.set()
        self._pages.add(changed)
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen())
        try:
            yield changed
        finally:
            self._pages.discard(changed)
            if not self._pages and self._listening is not None:
                self._listening.cancel()
                self._listening = None

    def close(self) -> None:
        """Let all pages end. This is a step of the shutdown."""
        self.is_closed = True
        for changed in self._pages:
            changed.set()

    async def _listen(self) -> None:
        wake = asyncio.Event()
        async with self._database.wake_on_notify(wake, self._metrics, CHANGES) as listener:
            while True:
                try:
                    async with asyncio.timeout(READ_AGAIN_S if listener.listening.is_set() else self._poll_s):
                        await wake.wait()
                except TimeoutError:
                    pass
                wake.clear()
                self.version += 1
                pages = list(self._pages)
                for changed in pages:
                    changed.set()
                    await asyncio.sleep(1 / UPDATES_PER_S)
                await asyncio.sleep(max(0.0, EVERY_S - len(pages) / UPDATES_PER_S))
