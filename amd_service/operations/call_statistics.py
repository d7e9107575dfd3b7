"""Counts of calls for the tiles and the chart. All open pages with the same filter share one result."""

import asyncio

from amd_service.calls.call_filter import CallFilter, FilterRules
from amd_service.calls.call_totals import Totals, count_calls
from amd_service.database.pool import Database
from amd_service.operations.shared_results import SharedResults

# Minimum seconds between two counts of one filter.
KEEP_S = 10.0

CallStatistics = SharedResults[CallFilter, Totals]


def share_statistics(database: Database, rules: FilterRules, one_at_a_time: asyncio.Lock) -> CallStatistics:
    """Return the counts of calls by filter. A count is kept for at least KEEP_S seconds."""

    async def count(call_filter: CallFilter) -> Totals:
        async with database.reading() as session:
            return await count_calls(session, call_filter, rules)

    return SharedResults(count, one_at_a_time, keep_s=KEEP_S)
