"""Every query of docs/queries.md finds rows in a filled database, also for the dashboard role."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from amd_service.calls.tables import CallLog
from amd_service.database.dashboard_role import create_dashboard_role
from amd_service.database.pool import Database

pytestmark = pytest.mark.anyio

PAGE = (Path(__file__).parents[1] / "docs" / "queries.md").read_text(encoding="utf-8")
QUERIES = dict(re.findall(r"^## ([^\n]+)\n(?:(?!^## ).)*?```sql\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE))
BLOCKS = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
NOW = datetime.now(UTC)


def make_call(number: int, **columns: object) -> CallLog:
    """An answered call of this hour. `columns`: the columns that differ."""
    answered_at = NOW - timedelta(minutes=40 + number)
    return CallLog(
        call_sid=f"CA{number:032x}",
        account_sid="AC" + "1" * 32,
        from_number="+15005550006",
        to_number="+15005550010",
        call_status="completed",
        answered_at=answered_at,
        ended_at=answered_at + timedelta(seconds=20),
        **{"analysis_state": "judged", **columns},
    )


def make_judged_call(number: int, label: str, confidence: float, **columns: object) -> CallLog:
    reason = "low_confidence" if label == "undecided" else "confident"
    return make_call(
        number,
        label=label,
        confidence=confidence,
        reason=reason,
        verdict_at=NOW,
        verdict_ms=900 + number,
        answer_to_verdict_ms=2900,
        verdict_source="recording",
        model_id="demo",
        **{"channels_mixed": False, **columns},
    )


@pytest.fixture
async def filled(database: Database) -> Database:
    calls = [make_judged_call(number, "voicemail", 0.9, twilio_answered_by="human") for number in range(4)]
    calls += [make_judged_call(number, "human", 0.75, twilio_answered_by="machine_start") for number in range(4, 8)]
    calls += [make_judged_call(8, "undecided", 0.6, channels_mixed=True, campaign="spring", tags=["vip"])]
    calls += [make_judged_call(9, "voicemail", 0.95, action="hang_up", action_state="done", action_at=NOW)]
    calls += [make_call(10, analysis_state="failed", reason="media_missing"), make_call(11, analysis_state="waiting")]
    async with database.transaction() as session:
        session.add_all(calls)
    return database


def test_the_page_has_a_query_below_every_heading() -> None:
    assert set(QUERIES) == set(re.findall(r"^## (.+)$", PAGE, re.MULTILINE))
    assert len(BLOCKS) >= len(QUERIES) >= 10


@pytest.mark.parametrize("query", BLOCKS, ids=range(len(BLOCKS)))
async def test_a_query_finds_rows(filled: Database, query: str) -> None:
    async with filled.transaction() as session:
        assert (await session.execute(text(query))).all() != []


async def test_the_dashboard_role_can_run_every_query(filled: Database) -> None:
    await create_dashboard_role(filled.url, "queries_dashboard")
    async with filled.transaction() as session:
        await session.execute(text("set local role queries_dashboard"))
        for query in BLOCKS:
            await session.execute(text(query))
