"""Counts of calls for the tiles and the chart. All open pages with the same filter share one result."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic, perf_counter

from amd_service.calls.call_filter import CallFilter, FilterRules, filter_query
from amd_service.calls.call_totals import Totals, count_calls
from amd_service.database.pool import Database

# Minimum seconds between two counts of one filter.
KEEP_S = 10.0
# A slow count is kept longer: for this many times the seconds that it took.
KEEP_TIMES = 20
MOST_FILTERS = 100


@dataclass(frozen=True, slots=True)
class _Kept:
    totals: Totals
    until: float


class CallStatistics:
    """Counts the calls of filters, one query at a time. A count is kept for at least KEEP_S seconds.

    Ten pages, or a thousand, therefore cost the database the same.
    """

    def __init__(self, database: Database, rules: FilterRules, *, clock: Callable[[], float] = monotonic) -> None:
        self._database = database
        self._rules = rules
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._running: dict[str, asyncio.Task[Totals]] = {}
        self._one_at_a_time = asyncio.Lock()

    async def read(self, call_filter: CallFilter) -> Totals:
        """Return the counts of a filter, at most some seconds old. Raises DatabaseUnavailable."""
        key = filter_query(call_filter)
        kept = self._kept.get(key)
        if kept is not None and self._clock() < kept.until:
            self._kept.move_to_end(key)
            return kept.totals
        task = self._running.get(key)
        if task is None:
            task = asyncio.create_task(self._count(key, call_filter))
            self._running[key] = task
            task.add_done_callback(lambda _: self._running.pop(key))
        # The count goes on if one of the requests that wait for it is cancelled.
        return await asyncio.shield(task)

    async def _count(self, key: str, call_filter: CallFilter) -> Totals:
        async with self._one_at_a_time, self._database.reading() as session:
            began = perf_counter()
            totals = await count_calls(session, call_filter, self._rules)
        keep_s = max(KEEP_S, KEEP_TIMES * (perf_counter() - began))
        self._kept[key] = _Kept(totals, self._clock() + keep_s)
        self._kept.move_to_end(key)
        while len(self._kept) > MOST_FILTERS:
            self._kept.popitem(last=False)
        return totals
