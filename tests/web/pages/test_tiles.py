"""GET /calls/tiles and GET /calls/over-time: counts for the current filter."""

import asyncio
import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from amd_service.calls import call_totals
from amd_service.calls.call_filter import CallFilter
from amd_service.calls.call_totals import count_calls
from amd_service.calls.tables import CallLog, Recording
from amd_service.database.pool import Database
from amd_service.domain import Label
from amd_service.operations.call_statistics import share_statistics
from tests.support.app import App, make_settings
from tests.support.call_rows import call, numbered_sid, store
from tests.support.sampling import make_rules
from tests.support.sids import ACCOUNT

pytestmark = pytest.mark.anyio

RULES = make_rules(make_settings())


def recent(number: int, **fields: Any) -> CallLog:
    """A call that began now, in the clock of the database."""
    return call(number, **{"created_at": text("now()"), **fields})


def failed(number: int, reason: str) -> CallLog:
    return recent(number, analysis_state="failed", reason=reason)


async def tiles(service: App, query: str = "") -> dict[str, str]:
    """The text of each tile by its name. `note` is the text below."""
    response = await service.client.get(f"/calls/tiles{query}", headers={"accept": "text/html"})
    assert response.status_code == 200, response.text
    plain = re.sub(r"\s+", " ", re.sub(r"<(?!dt|/dt|dd|/dd|p|/p)[^>]+>", " ", response.text))
    found = {name: value.strip() for name, value in re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", plain)}
    return {name: re.sub(r" +", " ", value) for name, value in found.items()} | {"note": plain.partition("<p")[2]}


async def test_the_tiles_count_labels_failures_and_the_time_to_the_verdict(database: Database, service: App) -> None:
    judged = [recent(number, label=Label.HUMAN, verdict_ms=1000, verdict_source="recording") for number in range(3)]
    slow = recent(3, label=Label.VOICEMAIL, verdict_ms=120_000, verdict_source="recording")
    live = recent(4, label=Label.UNDECIDED, verdict_ms=1, verdict_source="stream")
    await store(database, *judged, slow, live, failed(5, "gave_up"), failed(6, "gave_up"), failed(7, "encrypted"))
    await store(database, recent(8))
    found = await tiles(service)
    assert found["Calls"] == "9"
    assert found["Human"] == "60.0 % 3"
    assert found["Voicemail"] == "20.0 % 1"
    assert found["Undecided"] == "20.0 % 1"
    assert found["Failed"] == "3 gave up: 2 encrypted: 1"
    assert found["Recording to verdict"] == "1.0 s median 95 % within 2 min"
    assert found["Recordings due"] == "0"


async def test_the_tiles_of_an_empty_database_show_no_shares(database: Database, service: App) -> None:
    found = await tiles(service)
    assert (found["Calls"], found["Human"], found["Recording to verdict"]) == ("0", "–", "–")


async def test_without_a_start_the_tiles_count_the_last_24_hours_and_say_so(database: Database, service: App) -> None:
    await store(database, recent(1), recent(2, created_at=text("now() - interval '25 h'")))
    found = await tiles(service)
    assert found["Calls"] == "1"
    assert "last 24 hours" in found["note"]
    found = await tiles(service, "?last=2d")
    assert found["Calls"] == "2"
    assert "last 24 hours" not in found["note"]


async def test_a_search_counts_calls_of_any_age(database: Database, service: App) -> None:
    await store(database, call(1))
    assert (await tiles(service, f"?q={numbered_sid(1)}"))["Calls"] == "1"


async def test_the_tiles_show_due_recordings_also_of_old_calls(database: Database, service: App) -> None:
    await store(database, call(1), recent(2, label=Label.HUMAN))
    for number, age in (("RE1", "3 min"), ("RE2", "1 min"), ("RE3", "-5 min")):
        due = text(f"now() - interval '{age}'")
        await store(
            database,
            Recording(
                recording_sid=number, call_sid=numbered_sid(1), account_sid=ACCOUNT, state="queued",
                source="OutboundAPI", available_at=due,
            ),
        )  # fmt: skip
    assert (await tiles(service))["Recordings due"] == "2 oldest for 3 min"
    assert (await tiles(service, "?label=human"))["Recordings due"] == "0"


async def test_only_the_newest_calls_are_counted(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_totals, "MOST_CALLS", 5)
    await store(database, *(call(number, label=Label.HUMAN) for number in range(8)))
    async with database.reading() as session:
        totals = await count_calls(session, CallFilter(last=timedelta(days=9999)), RULES)
    assert (totals.calls, totals.is_cut) == (5, True)
    assert next(iter(totals.over_time.values()))[Label.HUMAN] > 0  # no buckets of calls that are not counted


async def test_the_chart_has_every_bucket_of_the_period(database: Database, service: App) -> None:
    await store(
        database,
        recent(1, label=Label.HUMAN),
        recent(2, label=Label.VOICEMAIL, created_at=text("now() - interval '3 h'")),
        failed(3, "gave_up"),
        recent(4),
    )
    response = await service.client.get("/calls/over-time?last=6h")
    found = response.json()
    assert response.headers["cache-control"] == "no-store"
    steps = {later - earlier for earlier, later in zip(found["starts"], found["starts"][1:], strict=False)}
    assert steps == {600.0}
    assert {name: sum(counts) for name, counts in found["counts"].items()} == {
        "human": 1,
        "voicemail": 1,
        "undecided": 0,
        "failed": 1,
    }
    assert all(len(counts) == len(found["starts"]) for counts in found["counts"].values())


async def test_a_wrong_filter_is_refused(service: App) -> None:
    for path in ("/calls/tiles", "/calls/over-time"):
        assert (await service.client.get(f"{path}?label=robot")).status_code == 400


async def test_a_count_is_kept_for_some_seconds(database: Database) -> None:
    statistics = share_statistics(database, RULES, asyncio.Lock())
    first = await statistics.read(CallFilter())
    await store(database, recent(1))
    assert await statistics.read(CallFilter()) is first
    assert (await statistics.read(CallFilter(last=timedelta(hours=1)))).calls == 1


async def test_the_calls_before_a_moment_long_ago_are_none(service: App) -> None:
    for path in ("/calls/tiles", "/calls/over-time"):
        assert (await service.client.get(f"{path}?until=0001-01-01")).status_code == 200
