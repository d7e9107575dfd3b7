"""Reuses the results of lookups in the database for a few seconds."""

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

    async def find(self, key: Key, look_up: Callable[[], Awaitable[Principal | None]]) -> Principal | None:
        """Return the result of `look_up`, or its last result if that is recent. Raises what `look_up` raises."""
        now = self._clock()
        known = self._found.get(key) or self._unknown.get(key)
        if known is not None and now - known[0] <= REUSE_S:
            return known[1]
        principal = await look_up()
        self.forget(key)
        if principal is None:
            _limit(self._unknown)
            self._unknown[key] = now, None
        else:
            _limit(self._found)
            self._found[key] = now, principal
        return principal

    def forget(self, key: Key) -> None:
        """Look up `key` again the next time."""
        self._found.pop(key, None)
        self._unknown.pop(key, None)


def _limit(results: dict[Key, tuple[float, Principal]] | dict[Key, tuple[float, None]]) -> None:
    """Remove the oldest result if there is no space for another one."""
    if len(results) >= MAX_RESULTS:
        del results[next(iter(results))]
