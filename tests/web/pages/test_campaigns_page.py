"""GET /campaigns: the report on campaigns."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from amd_service.calls.tables import Review
from amd_service.database.pool import Database
from amd_service.domain import Label, ReviewAnswer, Stratum
from tests.support.app import App
from tests.support.call_rows import call, store

pytestmark = pytest.mark.anyio

BROWSER = {"accept": "text/html"}


async def test_each_number_leads_to_its_calls(service: App, database: Database) -> None:
    recent = datetime.now(UTC) - timedelta(minutes=5)
    await store(
        database,
        call(1, campaign="spring", label=Label.HUMAN, created_at=recent, verdict_ms=2500, answered_at=recent),
        call(2, campaign="spring", analysis_state="failed", reason="media_missing", created_at=recent),
    )
    response = await service.client.get("/campaigns", headers=BROWSER)
    assert response.status_code == 200
    page = response.text.replace("&amp;", "&")
    assert '<a href="/calls?last=30d&campaign=spring">spring</a>' in page
    assert '<a href="/calls?label=human&last=30d&campaign=spring">1</a>' in page
    assert '<a href="/calls?state=failed&last=30d&campaign=spring">1</a>' in page
    assert "2.5 s" in page
    for url in re.findall(r'"(/calls\?[^"]*campaign[^"]*)"', page):
        assert (await service.client.get(url, headers=BROWSER)).status_code == 200


@pytest.mark.parametrize(("last", "shown"), [("1d", False), ("7d", True)])
async def test_the_period_is_a_part_of_the_url(service: App, database: Database, last: str, shown: bool) -> None:
    await store(database, call(1, campaign="spring", created_at=datetime.now(UTC) - timedelta(days=3)))
    response = await service.client.get(f"/campaigns?last={last}", headers=BROWSER)
    assert ("spring" in re.findall(r'<th scope="row"><a [^>]*>(\w+)</a>', response.text)) is shown
    assert f'href="/campaigns?last={last}" aria-current="true"' in response.text


async def test_an_unknown_period_is_refused_with_the_cure(service: App) -> None:
    response = await service.client.get("/campaigns?last=1y", headers=BROWSER)
    assert response.status_code == 400
    assert "use 1d, 7d, 30d" in response.text


async def test_without_calls_the_page_says_how_to_name_a_campaign(service: App) -> None:
    assert "--campaign" in (await service.client.get("/campaigns", headers=BROWSER)).text


async def test_calls_without_a_campaign_have_a_row_without_links(service: App, database: Database) -> None:
    await store(database, call(1, label=Label.HUMAN, created_at=datetime.now(UTC)))
    page = (await service.client.get("/campaigns", headers=BROWSER)).text
    assert "no campaign" in page
    assert "/calls?" not in page


async def test_the_error_rates_of_a_reviewed_campaign_lead_to_the_report_on_reviews(
    service: App, database: Database
) -> None:
    now = datetime.now(UTC)
    reviewed = call(1, campaign="spring", label=Label.VOICEMAIL, created_at=now)
    review = Review(
        call_sid=reviewed.call_sid, reviewer="ann", answer=ReviewAnswer.HUMAN, stratum=Stratum.REST, probability=1.0
    )
    await store(database, reviewed, call(2, label=Label.HUMAN, created_at=now), review)
    page = (await service.client.get("/campaigns", headers=BROWSER)).text.replace("&amp;", "&")
    url = "/review/report?last=30d&campaign=spring"
    assert f'<a href="{url}">100.0 %</a>' in page
    assert "no reviews" in page
    assert (await service.client.get(url, headers=BROWSER)).status_code == 200
