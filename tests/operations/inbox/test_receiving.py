"""Storing the callbacks of the webhooks in the inbox."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest
from sqlalchemy import func, select, text

from amd_service.calls import intake
from amd_service.calls.tables import Callback
from amd_service.database.pool import Database, Timeouts
from amd_service.domain import CallSid
from amd_service.errors import DatabaseLocked
from amd_service.operations.receive_callback import Inbox
from amd_service.telemetry import Metrics
from tests.support.deliveries import KEEP, raw_of, recording, status
from tests.support.inbox import fold_all, waiting
from tests.support.intake import COMPLETED, RINGING
from tests.support.locks import holding

pytestmark = pytest.mark.anyio

EVENTS = [status("ringing", call_sid=CallSid(f"CA{number:032x}")) for number in range(250)]


def make_inbox(database: Database) -> tuple[Inbox, Metrics, asyncio.Event]:
    metrics, stored = Metrics(), asyncio.Event()
    return Inbox(database, KEEP, metrics, stored), metrics, stored


async def count_transactions(database: Database) -> int:
    """The number of transactions that have written rows of `callback`."""
    async with database.transaction() as session:
        return await session.scalar(select(func.count(text("distinct xmin::text"))).select_from(Callback)) or 0


async def test_a_stored_callback_wakes_the_folder(database: Database) -> None:
    inbox, _, stored = make_inbox(database)
    await inbox.receive(raw_of(RINGING), RINGING)
    assert stored.is_set()
    assert [row.call_sid for row in await waiting(database)] == [RINGING.call_sid]


async def test_callbacks_that_arrive_together_share_transactions(database: Database) -> None:
    inbox, metrics, _ = make_inbox(database)
    await asyncio.gather(*(inbox.receive(raw_of(event), event) for event in EVENTS))
    assert len(await waiting(database)) == len(EVENTS)
    assert metrics.registry.get_sample_value("amd_callbacks_total", {"route": "status", "outcome": "stored"}) == len(
        EVENTS
    )
    assert await count_transactions(database) <= 5


async def test_of_equal_callbacks_that_arrive_together_one_is_new(database: Database) -> None:
    inbox, metrics, _ = make_inbox(database)
    await inbox.receive(raw_of(RINGING), RINGING)
    await asyncio.gather(*(inbox.receive(raw_of(event), event) for event in [RINGING, COMPLETED] * 5))
    outcomes = Counter(
        {
            outcome: metrics.registry.get_sample_value("amd_callbacks_total", {"route": "status", "outcome": outcome})
            for outcome in ("stored", "duplicate")
        }
    )
    assert outcomes == {"stored": 2, "duplicate": 9}
    assert await fold_all(database) == 2


async def test_a_conference_recording_without_a_call_is_stored_and_not_folded(database: Database) -> None:
    inbox, _, _ = make_inbox(database)
    event = replace(recording("completed"), call_sid=None)
    await inbox.receive(raw_of(event), event)
    assert await waiting(database) == []


async def test_a_callback_that_postgres_refuses_fails_alone(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox, _, _ = make_inbox(database)
    whole = intake.new_callback

    def spoiled(*arguments: object) -> intake.NewCallback:
        callback = whole(*arguments)  # type: ignore[arg-type]
        return replace(callback, account_sid="\0") if callback.call_sid == EVENTS[3].call_sid else callback

    monkeypatch.setattr(intake, "new_callback", spoiled)
    results = await asyncio.gather(
        *(inbox.receive(raw_of(event), event) for event in EVENTS[:8]), return_exceptions=True
    )
    assert [number for number, result in enumerate(results) if result is not None] == [3]
    assert len(await waiting(database)) == 7


async def test_a_duplicate_of_an_uncommitted_callback_fails_alone(database: Database) -> None:
    impatient = Database(database.url, timeouts=Timeouts(lock_s=0.2))
    inbox, _, _ = make_inbox(impatient)
    sha256 = intake.fingerprint(raw_of(EVENTS[3]))
    columns = "(sha256, route, account_sid, parameters, facts)"
    async with holding(database.url, f"insert into callback {columns} values ('{sha256}', 'status', '', '[]', '{{}}')"):
        results = await asyncio.gather(
            *(inbox.receive(raw_of(event), event) for event in EVENTS[:8]), return_exceptions=True
        )
    assert [(number, type(result)) for number, result in enumerate(results) if result] == [(3, DatabaseLocked)]
    assert len(await waiting(database)) == 7
    await impatient.dispose()


async def test_a_cancelled_request_does_not_disturb_the_others(database: Database) -> None:
    inbox, _, _ = make_inbox(database)
    requests = [asyncio.create_task(inbox.receive(raw_of(event), event)) for event in EVENTS[:5]]
    await asyncio.sleep(0)
    requests[2].cancel()
    results = await asyncio.gather(*requests, return_exceptions=True)
    assert [type(result) for result in results if result is not None] == [asyncio.CancelledError]


async def test_during_an_outage_every_waiting_callback_is_refused_at_once(database: Database) -> None:
    impatient = Database(database.url, timeouts=Timeouts(lock_s=0.2))
    inbox, _, stored = make_inbox(impatient)
    async with holding(database.url, "lock table callback in share mode"):
        results = await asyncio.gather(
            *(inbox.receive(raw_of(event), event) for event in EVENTS), return_exceptions=True
        )
    assert {type(result) for result in results} == {DatabaseLocked}
    assert not stored.is_set()
    await asyncio.gather(*(inbox.receive(raw_of(event), event) for event in EVENTS))
    assert len(await waiting(database)) == len(EVENTS)
    await impatient.dispose()
