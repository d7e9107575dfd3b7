"""Every query of the dashboard "Calls and verdicts" runs as the dashboard role and finds the calls of a database."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from amd_service.calls.tables import Review
from amd_service.database.dashboard_role import create_dashboard_role
from amd_service.database.pool import Database
from amd_service.domain import Label
from tests.support.call_rows import call, numbered_sid, store
from tests.support.grafana import dashboard, expand_sql, targets

pytestmark = pytest.mark.anyio

QUERIES = dict(targets("calls_and_verdicts", "rawSql"))
(CAMPAIGN,) = [v for v in dashboard("calls_and_verdicts")["templating"]["list"] if v["name"] == "campaign"]
SINCE = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=2)
ALL = CAMPAIGN["allValue"]
ROLE = "amd_test_grafana"


def ended_call(number: int, **fields: Any) -> Any:
    """A call of the campaign `it's spring`, which ended two days ago."""
    created_at = fields.pop("created_at", SINCE + timedelta(minutes=number))
    times = {
        "created_at": created_at,
        "answered_at": created_at + timedelta(seconds=5),
        "ended_at": created_at + timedelta(seconds=35),
    }
    return call(number, **{"campaign": "it's spring", **times, **fields})


def judged_call(number: int, label: Label, twilio_answered_by: str, **fields: Any) -> Any:
    fields = {"verdict_at": SINCE + timedelta(hours=1)} | fields
    measured = {"answer_to_verdict_ms": 2000 + number, "verdict_source": "recording", "model_id": "demo"}
    return ended_call(number, label=label, twilio_answered_by=twilio_answered_by, **measured, **fields)


@pytest.fixture
async def filled(database: Database) -> Database:
    await store(
        database,
        judged_call(1, Label.HUMAN, "human", action="redirect", action_state="failed", action_note="too late"),
        judged_call(2, Label.HUMAN, "machine_start"),
        judged_call(3, Label.VOICEMAIL, "machine_end_beep"),
        judged_call(4, Label.UNDECIDED, "unknown"),
        judged_call(5, Label.VOICEMAIL, "machine_start", campaign=None),
        ended_call(6, analysis_state="failed", reason="media_missing"),
        ended_call(7),
        judged_call(8, Label.HUMAN, "human", created_at=SINCE - timedelta(days=40)),
        *(
            Review(call_sid=numbered_sid(number), reviewer="ada", answer=answer)
            for number, answer in ((1, "voicemail"), (3, "voicemail"), (4, "human"))
        ),
    )
    await create_dashboard_role(database.url, ROLE)
    return database


async def run(database: Database, query: str, campaign: str = ALL) -> list[dict[str, Any]]:
    """The rows of a query of Grafana for the day of the calls, as the dashboard role."""
    expanded = expand_sql(query, SINCE, SINCE + timedelta(days=1), {"campaign": campaign})
    async with database.transaction() as session:
        await session.execute(text(f"set local role {ROLE}"))
        connection = await session.connection()
        found = await connection.exec_driver_sql(expanded)
        return [dict(row) for row in found.mappings()]


async def test_every_panel_finds_rows_with_values(filled: Database) -> None:
    found = {panel: await run(filled, query) for panel, query in QUERIES.items()}
    filled_rows = {panel: [row for row in rows if any(row.values())] for panel, rows in found.items()}
    assert [panel for panel, rows in filled_rows.items() if not rows] == []


async def test_no_panel_finds_calls_of_a_campaign_without_calls(filled: Database) -> None:
    found = {panel: await run(filled, query, "'autumn'") for panel, query in QUERIES.items()}
    assert [panel for panel, rows in found.items() if any(any(row.values()) for row in rows)] == []


async def test_the_panel_of_the_calls_counts_the_calls_of_the_chosen_time_and_campaign(filled: Database) -> None:
    counts = {"calls": 7, "answered": 7, "human": 2, "voicemail": 2, "undecided": 1, "failed": 1, "open": 1}
    assert await run(filled, QUERIES["Calls A"]) == [counts]
    (of_campaign,) = await run(filled, QUERIES["Calls A"], "'it''s spring', 'autumn'")
    assert of_campaign == counts | {"calls": 6, "answered": 6, "voicemail": 1}
    (without,) = await run(filled, QUERIES["Calls A"], "'no campaign'")
    assert (without["calls"], without["voicemail"]) == (1, 1)


async def test_the_panel_of_the_agreement_counts_no_undecided_verdict(filled: Database) -> None:
    (day,) = await run(filled, QUERIES["Agreement with Twilio's detection A"])
    assert day["agreement"] == 0.75


async def test_the_variable_lists_the_campaigns_of_the_chosen_time(filled: Database) -> None:
    rows = await run(filled, CAMPAIGN["query"])
    assert [row["campaign"] for row in rows] == ["it's spring", "no campaign"]


def test_every_query_limits_the_time_and_the_campaign() -> None:
    assert len(QUERIES) > 10
    for query in (*QUERIES.values(), CAMPAIGN["query"]):
        assert "$__timeFilter(" in query or "$__timeFrom()" in query
    assert all("${campaign:sqlstring}" in query for query in QUERIES.values())
