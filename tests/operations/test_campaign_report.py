"""The report on campaigns."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from amd_service.calls.campaign_totals import MOST_CAMPAIGNS, CampaignTotals
from amd_service.calls.tables import CallLog, Review
from amd_service.database.pool import Database
from amd_service.domain import Label, Stratum
from amd_service.errors import DatabaseUnavailable
from amd_service.operations.campaign_report import make_campaign_report
from amd_service.operations.review.error_report import MAX_ROWS
from tests.support.app import make_settings
from tests.support.call_rows import call, store
from tests.support.sampling import make_plan, make_rules

pytestmark = pytest.mark.anyio

RULES, PLAN = make_rules(make_settings()), make_plan(make_settings())
WEEK = timedelta(days=7)


def recent(number: int, campaign: str | None, **fields: Any) -> CallLog:
    """A call of this hour."""
    return call(number, campaign=campaign, created_at=datetime.now(UTC) - timedelta(minutes=30), **fields)


def names(campaigns: Sequence[CampaignTotals]) -> list[str | None]:
    return [totals.campaign for totals in campaigns]


async def test_the_calls_of_each_campaign_are_counted(database: Database) -> None:
    answered_at = datetime.now(UTC)
    await store(
        database,
        recent(1, "spring", label=Label.HUMAN, answered_at=answered_at, verdict_ms=1000),
        recent(2, "spring", label=Label.VOICEMAIL, answered_at=answered_at, verdict_ms=3000),
        recent(3, "spring", label=Label.UNDECIDED, answered_at=answered_at, verdict_ms=8000),
        recent(4, "spring", analysis_state="failed", reason="media_missing", answered_at=answered_at),
        recent(5, "spring", analysis_state="not_applicable", call_status="busy"),
        recent(6, None),
    )
    report = await make_campaign_report(database, RULES, PLAN, WEEK)
    assert report.campaigns == [
        CampaignTotals("spring", 5, 4, human=1, voicemail=1, undecided=1, failed=1, median_s=3.0),
        CampaignTotals(None, 1, 0, human=0, voicemail=0, undecided=0, failed=0, median_s=None),
    ]
    assert report.campaigns[0].analysed == 4
    assert not report.has_more_calls
    assert not report.has_more_campaigns


async def test_calls_before_the_period_are_not_counted(database: Database) -> None:
    await store(database, recent(1, "spring"), call(2, campaign="old", created_at=datetime.now(UTC) - 2 * WEEK))
    assert names((await make_campaign_report(database, RULES, PLAN, WEEK)).campaigns) == ["spring"]


async def test_only_the_campaigns_with_the_most_calls_are_reported(database: Database) -> None:
    await store(database, *(recent(number, f"c{number:03}") for number in range(MOST_CAMPAIGNS + 1)))
    await store(database, recent(900, "c100"))
    report = await make_campaign_report(database, RULES, PLAN, WEEK)
    assert names(report.campaigns) == ["c100", *(f"c{number:03}" for number in range(MOST_CAMPAIGNS - 1))]
    assert report.has_more_campaigns


async def test_only_the_newest_calls_are_counted(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("calls.campaign_totals", "operations.campaign_report"):
        monkeypatch.setattr(f"amd_service.{module}.MOST_CALLS", 2)
    now = datetime.now(UTC)
    await store(database, *(call(n, campaign=f"c{n}", created_at=now - timedelta(minutes=n)) for n in (1, 2, 3)))
    report = await make_campaign_report(database, RULES, PLAN, WEEK)
    assert names(report.campaigns) == ["c1", "c2"]
    assert report.has_more_calls


async def test_the_report_says_that_calls_are_missing_also_if_it_does_not_show_all_campaigns(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("calls.campaign_totals", "operations.campaign_report"):
        monkeypatch.setattr(f"amd_service.{module}.MOST_CAMPAIGNS", 1)
        monkeypatch.setattr(f"amd_service.{module}.MOST_CALLS", 5)
    await store(database, *(recent(n, f"c{n}") for n in range(6)))
    report = await make_campaign_report(database, RULES, PLAN, WEEK)
    assert (len(report.campaigns), report.has_more_campaigns, report.has_more_calls) == (1, True, True)


async def test_every_reviewed_campaign_of_the_report_has_error_rates(database: Database) -> None:
    calls = [recent(number, f"c{number:02}", label=Label.HUMAN) for number in range(MAX_ROWS + 5)]
    await store(database, *calls)
    await store(
        database,
        *(
            Review(call_sid=each.call_sid, reviewer="ann", answer="human", stratum=Stratum.REST, probability=1.0)
            for each in calls
        ),
    )
    report = await make_campaign_report(database, RULES, PLAN, WEEK)
    assert report.error_rates is not None
    assert set(report.error_rates) == set(names(report.campaigns))


async def test_the_report_has_the_error_rates_of_reviewed_campaigns(database: Database) -> None:
    await store(
        database,
        *(recent(number, "spring", label=Label.VOICEMAIL) for number in range(10)),
        *(recent(number, "autumn", label=Label.VOICEMAIL) for number in range(10, 20)),
    )
    reviewed = [recent(number, "spring").call_sid for number in range(4)]
    await store(
        database,
        *(
            Review(
                call_sid=sid, reviewer="ann", answer="human" if number else "voicemail", stratum=Stratum.REST,
                probability=0.5,
            )
            for number, sid in enumerate(reviewed)
        ),
    )  # fmt: skip
    report = await make_campaign_report(database, RULES, PLAN, WEEK)
    assert report.error_rates is not None
    assert list(report.error_rates) == ["spring"]
    assert report.error_rates["spring"].humans_called_voicemail.rate == 1.0


async def test_the_counts_are_reported_also_if_the_error_rates_take_too_long(
    database: Database, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    async def estimate(*_: object) -> None:
        raise DatabaseUnavailable("canceling statement due to statement timeout")

    monkeypatch.setattr("amd_service.operations.campaign_report.estimate_by_campaign", estimate)
    await store(database, recent(1, "spring"))
    report = await make_campaign_report(database, RULES, PLAN, WEEK)
    assert (names(report.campaigns), report.error_rates) == (["spring"], None)
    assert "error rates of campaigns not counted" in "".join(capfd.readouterr())
