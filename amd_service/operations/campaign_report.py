"""The report on campaigns: calls, verdicts and error rates of each campaign. All readers share one result."""

import asyncio
from collections.abc import Mapping, Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from amd_service.calls.call_filter import CallFilter, FilterRules
from amd_service.calls.campaign_totals import MOST_CALLS, MOST_CAMPAIGNS, CampaignTotals, count_by_campaign
from amd_service.calls.review_sample import SamplingPlan
from amd_service.database.pool import Database
from amd_service.errors import DatabaseUnavailable
from amd_service.operations.review.error_rates import ErrorRates
from amd_service.operations.review.error_report import estimate_by_campaign
from amd_service.operations.shared_results import SharedResults
from amd_service.telemetry import get_logger

log = get_logger(__name__)

# Minimum seconds between two counts of one period.
KEEP_S = 30.0


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


CampaignReports = SharedResults[timedelta, CampaignReport]


def share_campaign_reports(
    database: Database, rules: FilterRules, plan: SamplingPlan, one_at_a_time: asyncio.Lock
) -> CampaignReports:
    """Return the reports by their period until now. A report is kept for at least KEEP_S seconds."""
    return SharedResults(lambda last: make_campaign_report(database, rules, plan, last), one_at_a_time, keep_s=KEEP_S)


async def make_campaign_report(
    database: Database, rules: FilterRules, plan: SamplingPlan, last: timedelta
) -> CampaignReport:
    """Report on the calls of a period until now. Raises DatabaseUnavailable."""
    async with database.reading() as session:
        found, all_calls = await count_by_campaign(session, last)
    campaigns = found[:MOST_CAMPAIGNS]
    return CampaignReport(
        counted_at=datetime.now(UTC),
        campaigns=campaigns,
        has_more_calls=all_calls >= MOST_CALLS,
        has_more_campaigns=len(found) > MOST_CAMPAIGNS,
        error_rates=await _error_rates(database, rules, plan, last, {each.campaign for each in campaigns}),
    )


async def _error_rates(
    database: Database, rules: FilterRules, plan: SamplingPlan, last: timedelta, campaigns: Set[str | None]
) -> Mapping[str | None, ErrorRates] | None:
    try:
        return await estimate_by_campaign(database, CallFilter(last=last), rules, plan, campaigns)
    except DatabaseUnavailable as error:
        # The estimate needs all calls of the period. The counts are useful without it.
        log.warning("error rates of campaigns not counted", error=str(error))
        return None
