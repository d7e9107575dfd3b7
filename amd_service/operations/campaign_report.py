"""The report on campaigns: calls, verdicts and error rates of each campaign. All readers share one result."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic, perf_counter

from amd_service.calls.call_filter import CallFilter, FilterRules
from amd_service.calls.campaign_totals import MOST_CALLS, MOST_CAMPAIGNS, CampaignTotals, count_by_campaign
from amd_service.calls.review_sample import SamplingPlan
from amd_service.database.pool import Database
from amd_service.errors import DatabaseUnavailable
from amd_service.operations.review.error_rates import ErrorRates
from amd_service.operations.review.error_report import make_report
from amd_service.telemetry import get_logger

log = get_logger(__name__)

# Minimum seconds between two counts of one period. A slow count is kept for this many times the seconds that it took.
KEEP_S, KEEP_TIMES = 30.0, 20


@dataclass(frozen=True, slots=True)
class CampaignReport:
    """Calls of each campaign, most calls first.

    `has_more_calls`, `has_more_campaigns`: the period has more of them than the report counts. `error_rates`: of the
    campaigns with reviewed calls; None if Postgres did not count the reviewed calls in time.
    """

    counted_at: datetime
    campaigns: list[CampaignTotals]
    has_more_calls: bool
    has_more_campaigns: bool
    error_rates: Mapping[str | None, ErrorRates] | None


class CampaignReports:
    """Makes reports, one at a time, and keeps each for at least KEEP_S seconds."""

    def __init__(
        self, database: Database, rules: FilterRules, plan: SamplingPlan, *, clock: Callable[[], float] = monotonic
    ) -> None:
        self._database = database
        self._rules = rules
        self._plan = plan
        self._clock = clock
        self._kept: dict[timedelta, tuple[CampaignReport, float]] = {}
        self._one_at_a_time = asyncio.Lock()

    async def read(self, last: timedelta) -> CampaignReport:
        """Return the report on the calls of a period until now. Raises DatabaseUnavailable.

        Use only a few different periods: each of them is kept.
        """
        async with self._one_at_a_time:
            report, until = self._kept.get(last, (None, 0.0))
            if report is not None and self._clock() < until:
                return report
            began = perf_counter()
            report = await self._make(last)
            keep_s = max(KEEP_S, KEEP_TIMES * (perf_counter() - began))
            self._kept[last] = report, self._clock() + keep_s
            return report

    async def _make(self, last: timedelta) -> CampaignReport:
        async with self._database.reading() as session:
            found = await count_by_campaign(session, last)
        return CampaignReport(
            counted_at=datetime.now(UTC),
            campaigns=found[:MOST_CAMPAIGNS],
            has_more_calls=sum(campaign.calls for campaign in found) >= MOST_CALLS,
            has_more_campaigns=len(found) > MOST_CAMPAIGNS,
            error_rates=await self._error_rates(last),
        )

    async def _error_rates(self, last: timedelta) -> Mapping[str | None, ErrorRates] | None:
        try:
            reviewed = await make_report(self._database, CallFilter(last=last), self._rules, self._plan)
        except DatabaseUnavailable as error:
            # The estimate needs all calls of the period. The counts are useful without it.
            log.warning("error rates of campaigns not counted", error=str(error))
            return None
        return {row.name: row.rates for row in reviewed.by_campaign}
