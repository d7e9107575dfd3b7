"""Reuses the results of lookups in the database for a few seconds."""

import asyncio
from collections.abc import Awaitable, Callable

from amd_service.domain import Principal

# Seconds for which a result is reused.
REUSE_S = 5.0
# Maximum number of results, found and not found.
MAX_RESULTS = 1000

Key = tuple[str, str]


class RecentLookups:
    """Lookups of sessions, keys and names.

    Results with and without a principal have separate limits: requests with invented keys cannot displace the results
    of real keys.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._found: dict[Key, tuple[float, Principal]] = {}
        self._unknown: dict[Key, tuple[float, None]] = {}
        self._running: dict[Key, asyncio.Task[Principal | None]] = {}

    async def find(self, key: Key, look_up: Callable[[], Awaitable[Principal | None]]) -> Principal | None:
        """Return the result of `look_up`, or its last result if that is recent. Raises what `look_up` raises.

        Requests that arrive during a lookup wait for its result: after a restart, all open pages connect at once.
        """
        known = self._found.get(key) or self._unknown.get(key)
        if known is not None and self._clock() - known[0] <= REUSE_S:
            return known[1]
        task = self._running.get(key)
        if task is None:
            task = self._running[key] = asyncio.create_task(self._look_up(key, look_up))
        # The lookup goes on if one of the requests that wait for it is cancelled.
        return await asyncio.shield(task)

    def forget(self, key: Key) -> None:
        """Look up `key` again the next time. A lookup that is running is not kept."""
        self._found.pop(key, None)
        self._unknown.pop(key, None)
        self._running.pop(key, None)

    async def _look_up(self, key: Key, look_up: Callable[[], Awaitable[Principal | None]]) -> Principal | None:
        began, own = self._clock(), asyncio.current_task()
        try:
            principal = await look_up()
            if self._running.get(key) is own:
                self._keep(key, began, principal)
            return principal
        finally:
            if self._running.get(key) is own:
                del self._running[key]

    def _keep(self, key: Key, began: float, principal: Principal | None) -> None:
        self._found.pop(key, None)
        self._unknown.pop(key, None)
        if principal is None:
            _limit(self._unknown)
            self._unknown[key] = began, None
        else:
            _limit(self._found)
            self._found[key] = began, principal


def _limit(results: dict[Key, tuple[float, Principal]] | dict[Key, tuple[float, None]]) -> None:
    """Remove the oldest result if there is no space for another one."""
    if len(results) >= MAX_RESULTS:
        del results[next(iter(results))]
