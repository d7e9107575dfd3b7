"""Renders parts of live pages once for all pages that show the same part."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from time import monotonic

from amd_service.operations.change_feed import ChangeFeed

# A view is rendered again after a pause of this many times the seconds that it took. The same holds for all views
# together, up to a limit, so that one slow query does not hold up the other views. So slow queries and many different
# views slow the pages down, and not the callbacks, which run in the same process.
PAUSE_TIMES = 5
LONGEST_PAUSE_OF_ALL_S = 0.1
MOST_VIEWS = 200


class _View:
    def __init__(self) -> None:
        self.version = -1
        self.event = b""
        self.due_at = 0.0
        self.took_s = 0.0
        self.lock = asyncio.Lock()


class SharedViews:
    """The latest rendering of each view. One view is rendered at a time, at most once for each change of the calls."""

    def __init__(self, feed: ChangeFeed, *, clock: Callable[[], float] = monotonic) -> None:
        self._feed = feed
        self._clock = clock
        self._views: OrderedDict[object, _View] = OrderedDict()
        self._one_at_a_time = asyncio.Lock()
        self._any_due_at = 0.0

    async def read(self, key: object, render: Callable[[], Awaitable[bytes]]) -> bytes:
        """Return the view with this key as it is after the latest change. Raises whatever `render` raises."""
        view = self._find(key)
        async with view.lock:
            if view.version != self._feed.version:
                await asyncio.sleep(max(0.0, view.due_at - self._clock()))
                await self._render(view, render)
            return view.event

    async def _render(self, view: _View, render: Callable[[], Awaitable[bytes]]) -> None:
        async with self._one_at_a_time:
            await asyncio.sleep(max(0.0, self._any_due_at - self._clock()))
            version, began = self._feed.version, self._clock()
            try:
                view.event = await render()
            finally:
                ended = self._clock()
                # The first rendering of a process also compiles templates and statements, so one slow rendering does
                # not count.
                pause_s = PAUSE_TIMES * min(view.took_s, ended - began)
                view.took_s = ended - began
                view.due_at = ended + pause_s
                self._any_due_at = ended + min(pause_s, LONGEST_PAUSE_OF_ALL_S)
            view.version = version

    def _find(self, key: object) -> _View:
        view = self._views.setdefault(key, _View())
        self._views.move_to_end(key)
        if len(self._views) > MOST_VIEWS:
            self._views.popitem(last=False)
        return view
