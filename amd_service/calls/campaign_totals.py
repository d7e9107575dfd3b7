"""Counts the calls of each campaign in a period."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import BigInteger, Float, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls.tables import CallLog
from amd_service.domain import AnalysisState, Label

# Maximum number of calls to count, the newest first. Counting a million calls took 2.4 s on a machine with two busy
# cores, and Postgres ends a statement after 3 s.
MOST_CALLS = 500_000
# Maximum number of campaigns in a report. Every name in a callback URL is a campaign, so a mistake can make thousands.
MOST_CAMPAIGNS = 100


@dataclass(frozen=True, slots=True)
class CampaignTotals:
    """Numbers of calls of one campaign. `campaign`: None for the calls without a campaign.

    `answered`: calls that a human or a machine answered. `median_s`: median of the seconds from the enqueueing of the
    recording, or from the start of the live stream, to the verdict; None without verdicts.
    """

    campaign: str | None
    calls: int
    answered: int
    human: int
    voicemail: int
    undecided: int
    failed: int
    median_s: float | None

    @property
    def analysed(self) -> int:
        """Calls whose analysis has ended with a verdict or a failure."""
        return self.human + self.voicemail + self.undecided + self.failed


async def count_by_campaign(session: AsyncSession, last: timedelta) -> tuple[list[CampaignTotals], int]:
    """Count the newest MOST_CALLS calls of the period by campaign, most calls first.

    Returns at most MOST_CAMPAIGNS + 1 campaigns, and the number of calls of all campaigns.
    """
    newest = (
        select(CallLog.campaign, CallLog.answered_at, CallLog.label, CallLog.analysis_state, CallLog.verdict_ms)
        .where(CallLog.created_at >= func.now() - last)
        .order_by(CallLog.created_at.desc())
        .limit(MOST_CALLS)
        .subquery()
    )
    calls = func.count()
    statement = (
        select(
            newest.c.campaign,
            calls,
            func.count(newest.c.answered_at),
            *(calls.filter(newest.c.label == label) for label in (Label.HUMAN, Label.VOICEMAIL, Label.UNDECIDED)),
            calls.filter(newest.c.analysis_state == AnalysisState.FAILED),
            cast(func.percentile_cont(0.5).within_group(newest.c.verdict_ms) / 1000, Float),
            cast(func.sum(calls).over(), BigInteger).label("all_calls"),
        )
        .group_by(newest.c.campaign)
        .order_by(calls.desc(), newest.c.campaign)
        .limit(MOST_CAMPAIGNS + 1)
    )
    rows = (await session.execute(statement)).all()
    return [CampaignTotals(*row[:-1]) for row in rows], rows[0].all_calls if rows else 0
