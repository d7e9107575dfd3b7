"""Shares the results of slow queries among all readers of the pages."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from math import inf
from time import monotonic, perf_counter
from typing import Generic, TypeVar

from amd_service.errors import DatabaseUnavailable

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

# A slow result is kept for this many times the seconds that it took, and an outage for fewer: it can end at any time.
KEEP_TIMES = 20.0
KEEP_OUTAGE_TIMES = 5.0
MOST_KEPT = 100
# Results that may wait for the lock at once. A reader can ask for any number of different results.
MOST_WAITING = 50


@dataclass(slots=True, eq=False)
class _Entry(Generic[V]):
    """`until`: the moment at which the result is too old; infinite while it is computed."""

    task: asyncio.Task[V]
    until: float = inf


class SharedResults(Generic[K, V]):
    """Results by key. Ten readers of one key, or a thousand, cost the database the same.

    `compute`: makes a result. `one_at_a_time`: a lock that several instances share, so that slow queries together use
    one connection, and the other connections for reading stay free for pages and sign-ins. `keep_s`: minimum seconds
    for which a result is kept. `keep_times`: see KEEP_TIMES.
    """

    def __init__(
        self,
        compute: Callable[[K], Awaitable[V]],
        one_at_a_time: asyncio.Lock,
        *,
        keep_s: float,
        keep_times: float = KEEP_TIMES,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._compute = compute
        self._one_at_a_time = one_at_a_time
        self._keep_s = keep_s
        self._keep_times = keep_times
        self._clock = clock
        self._entries: OrderedDict[K, _Entry[V]] = OrderedDict()
        self._waiting = 0

    async def read(self, key: K) -> V:
        """Return the result for a key, at most some seconds old.

        Raises whatever `compute` raises, and DatabaseUnavailable if too many results are waiting.
        """
        entry = self._entries.get(key)
        if entry is None or entry.until <= self._clock():
            entry = self._start(key)
        self._entries.move_to_end(key)
        # The computation goes on if one of the requests that wait for it is cancelled.
        return await asyncio.shield(entry.task)

    def _start(self, key: K) -> _Entry[V]:
        if self._waiting >= MOST_WAITING:
            raise DatabaseUnavailable(f"{MOST_WAITING} slow queries are waiting already")
        self._waiting += 1
        entry = _Entry(asyncio.create_task(self._run(key)))
        self._entries[key] = entry
        if len(self._entries) > MOST_KEPT:
            self._entries.popitem(last=False)
        return entry

    async def _run(self, key: K) -> V:
        keep_s, keep_times = 0.0, KEEP_OUTAGE_TIMES
        try:
            async with self._one_at_a_time:
                began = perf_counter()
                try:
                    result = await self._compute(key)
                    keep_s, keep_times = self._keep_s, self._keep_times
                finally:
                    keep_s = max(keep_s, keep_times * (perf_counter() - began))
        finally:
            self._waiting -= 1
            if key in self._entries:
                self._entries[key].until = self._clock() + keep_s
        return result
