"""The page of a call shows what is sent to backends and to Twilio."""

import re

import pytest

from amd_service.calls import annotations, deliveries
from amd_service.database.pool import Database
from amd_service.domain import CallSid, ReviewAnswer
from tests.support.app import App
from tests.support.call_page import PART, judge, read, section, send
from tests.support.outbox import claim_deliveries, with_backends
from tests.support.sids import CALL

pytestmark = pytest.mark.anyio


async def test_deliveries_are_shown_and_dead_ones_are_sent_again(service: App, database: Database) -> None:
    url = "https://backend.example.com/amd?token=abc"
    async with with_backends(database, url) as opened:
        await judge(opened)
    (job,) = await claim_deliveries(database, url)
    async with database.transaction() as session:
        await deliveries.give_up(session, job, error="the backend answered 410 Gone", status=410)
    page = await read(service)
    assert "call.judged" in section(page, "deliveries")
    assert "backend.example.com dead HTTP 410 1 – the backend answered 410 Gone" in section(page, "deliveries")
    assert "token=abc" not in page
    again = await send(service, "deliveries")
    assert "1 dead events are queued again." in again.text
    assert "queued" in section(again.text, "deliveries")


async def test_the_page_is_updated_whenever_a_delivery_changes(service: App, database: Database) -> None:
    url = "https://backend.example.com/amd"
    async with with_backends(database, url) as opened:
        await judge(opened)
    page = await read(service)

    async def update() -> str:
        """Ask for an update as the page does, which must not be empty. A second request then gets no update."""
        nonlocal page
        path = re.search(r'hx-get="(/calls/[^"]*/parts[?][^"]*)"', page)
        assert path is not None
        response = await service.client.get(path[1].replace("&amp;", "&"), headers=PART)
        assert response.status_code == 200
        page = response.text
        return section(page, "deliveries")

    # The page asks every second for an event that is sent now, and every five seconds for one that waits for a retry.
    assert "data-unfinished" in page
    (job,) = await claim_deliveries(database, url)
    assert "running" in await update()
    async with database.transaction() as session:
        await deliveries.retry_later(session, job, delay_s=0, error="the backend answered 503", status=503)
    assert "queued HTTP 503 1" in await update()
    assert "data-unfinished" not in page
    (job,) = await claim_deliveries(database, url)
    async with database.transaction() as session:
        await deliveries.retry_later(session, job, delay_s=0, error="no response within 10 s", status=None)
    assert "no response within 10 s" in await update()
    for error in ("the backend answered 410 Gone", "another reason"):
        (job,) = await claim_deliveries(database, url)
        async with database.transaction() as session:
            await deliveries.give_up(session, job, error=error, status=410)
        assert error in await update()
        async with database.transaction() as session:
            await deliveries.redrive(session, call_sid=CALL, delivery_ids=None, limit=1)


async def test_a_call_without_deliveries_has_no_section_about_them(service: App, database: Database) -> None:
    await judge(database)
    assert "deliveries-title" not in await read(service)


async def test_a_call_annotation_is_shown_with_its_state_and_error(service: App, database: Database) -> None:
    await judge(database)
    assert "annotation-title" not in await read(service)
    async with database.transaction() as session:
        await annotations.request(session, CallSid(CALL), ReviewAnswer.VOICEMAIL)
    page = await read(service)
    assert "answered by machine . Waiting to be sent, 0 attempts." in section(page, "annotation")
    assert "data-unfinished" in page
    async with database.transaction() as session:
        (job,) = await annotations.claim(session, worker="a worker", limit=1, lease_s=60)
    running = await read(service)
    assert "Being sent now, 1 attempt" in section(running, "annotation")
    async with database.transaction() as session:
        await annotations.give_up(session, job, error="the number +15005550006 is unknown to Twilio")
    dead = await read(service)
    assert re.search(r"Given up since .*, 1 attempt\. the number .* is unknown to Twilio", section(dead, "annotation"))
    versions = {re.search(r"seen=(\w+)", each)[1] for each in (page, running, dead)}  # type: ignore[index]
    assert len(versions) == 3
