"""GET /api/stats: counts and error rates."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text

from amd_service.calls.tables import CallLog, Review
from amd_service.database.pool import Database
from amd_service.domain import Label, Stratum
from amd_service.errors import DatabaseUnavailable
from tests.support.app import App
from tests.support.call_rows import call, numbered_sid, store
from tests.support.call_verdicts import judged, store_verdicts

pytestmark = pytest.mark.anyio


def recent(number: int, **fields: Any) -> CallLog:
    """A call that began now, in the clock of the database."""
    return call(number, **{"created_at": text("now()"), **fields})


async def stats(service: App, query: str = "") -> dict[str, Any]:
    response = await service.client.get(f"/api/stats{query}")
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def test_the_figures_of_the_tiles_and_of_the_chart(database: Database, service: App) -> None:
    await store(
        database,
        *(recent(number, label=Label.HUMAN, verdict_ms=1000, verdict_source="recording") for number in range(3)),
        recent(3, label=Label.UNDECIDED),
        recent(4, analysis_state="failed", reason="media_missing"),
        recent(5),
        call(6, label=Label.HUMAN, created_at=datetime(2020, 1, 1, tzinfo=UTC)),
    )
    found = await stats(service)
    assert (found["calls"], found["is_cut"], found["other"]) == (6, False, 1)
    assert found["labels"] == {"human": 3, "voicemail": 0, "undecided": 1}
    assert found["failures"] == {"media_missing": 1}
    assert found["time_to_verdict"] == {"median_s": 1.0, "p95_s": 1.0}
    assert found["due"] == {"recordings": 0, "oldest_s": None}
    assert found["period"]["is_default"]
    totals = {name: sum(bucket[name] for bucket in found["over_time"]) for name in ("human", "undecided", "failed")}
    assert totals == {"human": 3, "undecided": 1, "failed": 1}


async def test_a_filter_selects_the_calls(database: Database, service: App) -> None:
    await store(database, recent(1, label=Label.HUMAN, campaign="spring"), recent(2, label=Label.HUMAN))
    assert (await stats(service, "?campaign=spring"))["calls"] == 1
    assert (await stats(service, "?label=voicemail"))["calls"] == 0
    assert (await service.client.get("/api/stats?label=robot")).status_code == 400
    assert (await service.client.get("/api/stats?cursor=x")).status_code == 400


async def test_error_rates_are_about_the_period_campaign_and_tags(database: Database, service: App) -> None:
    await store(database, *(recent(number, label=Label.VOICEMAIL, campaign="spring") for number in range(10)))
    reviews = [
        Review(
            call_sid=numbered_sid(number),
            reviewer="ann",
            answer="human" if number == 0 else "voicemail",
            stratum=Stratum.REST,
            probability=1.0,
        )
        for number in range(10)
    ]
    await store(database, *reviews)
    # The label of the filter does not narrow the calls of the error rates.
    rates = (await stats(service, "?campaign=spring&last=7d&label=human"))["error_rates"]
    assert rates["selection"] == "last=7d&campaign=spring"
    humans, voicemails = rates["humans_called_voicemail"], rates["voicemails_called_human"]
    assert (humans["rate"], humans["reviews"], humans["more_reviews"]) == (1.0, 10, 0)
    assert (voicemails["rate"], voicemails["low"]) == (0.0, 0.0)
    assert (await stats(service))["error_rates"]["selection"] == "last=30d"
    assert (await stats(service, "?campaign=autumn"))["error_rates"]["humans_called_voicemail"]["rate"] is None


async def test_readers_share_one_result(database: Database, service: App) -> None:
    await store(database, recent(1))
    first, *others = await asyncio.gather(*(stats(service) for _ in range(5)))
    await store(database, recent(2))
    assert all(each == first for each in [*others, await stats(service)])


async def test_the_counts_are_returned_also_if_the_error_rates_take_too_long(
    database: Database, service: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def make_report(*_: object) -> None:
        raise DatabaseUnavailable("canceling statement due to statement timeout")

    monkeypatch.setattr("amd_service.operations.review.error_report.make_report", make_report)
    await store(database, recent(1))
    found = await stats(service)
    assert (found["calls"], found["error_rates"]) == (1, None)


async def test_a_minimum_confidence_adds_the_verdicts_that_the_calls_would_have(
    database: Database, service: App
) -> None:
    await store_verdicts(database, [judged(Label.HUMAN, 0.97), judged(Label.HUMAN, 0.6, 0.8)])
    assert (await stats(service))["what_if"] is None
    found = (await stats(service, "?last=7d&label=voicemail&min_confidence=0.8&min_confidence_human=0.9"))["what_if"]
    # The label of the filter does not narrow the calls, as for the error rates.
    assert (found["selection"], found["calls"], found["changed"], found["unknown"]) == ("last=7d", 2, 1, 0)
    assert found["min_confidence"] == {"human": 0.9, "voicemail": 0.8}
    assert [(each["before"], each["after"], each["calls"]) for each in found["changes"]] == [
        ("human", "human", 1),
        ("human", "undecided", 1),
    ]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("1", "min confidence of human 1 must be below 1: no confidence reaches it"),
        ("0.5", "must be above 0.5"),
        ("nan", "must be above 0.5"),
        ("high", "min_confidence_human='high' is not a number"),
    ],
)
async def test_a_minimum_confidence_that_decides_nothing_is_refused(service: App, value: str, reason: str) -> None:
    response = await service.client.get(f"/api/stats?min_confidence_human={value}")
    assert response.status_code == 400
    assert reason in response.json()["detail"]
