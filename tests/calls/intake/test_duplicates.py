"""A callback is stored unchanged, and a repeated delivery changes nothing."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from amd_service.calls import intake
from amd_service.calls.tables import Callback
from amd_service.database.pool import Database
from amd_service.domain import RawCallback
from tests.support.deliveries import KEEP, call_row, deliver
from tests.support.intake import ANSWERED, INITIATED, RECORDED, RINGING
from tests.support.sids import CALL

pytestmark = pytest.mark.anyio


async def test_a_duplicate_changes_nothing_and_returns_false(database: Database) -> None:
    await deliver(database, ANSWERED)
    before = await call_row(database)
    assert await deliver(database, ANSWERED) == [False]
    assert (await call_row(database)).updated_at == before.updated_at
    async with database.transaction() as session:
        assert await session.scalar(select(func.count()).select_from(Callback)) == 1


def test_the_fingerprint_ignores_the_order_of_parameters_and_nothing_else() -> None:
    one = intake.fingerprint(RawCallback("status", (("A", "1"), ("B", "2"), ("B", "3"))))
    assert one == intake.fingerprint(RawCallback("status", (("B", "2"), ("B", "3"), ("A", "1")), "another token"))
    assert one != intake.fingerprint(RawCallback("recording", (("A", "1"), ("B", "2"), ("B", "3"))))
    assert one != intake.fingerprint(RawCallback("status", (("A", "1"), ("B", "2"))))
    assert one != intake.fingerprint(RawCallback("status", (("A", "12"), ("B", ""), ("B", "3"))))


async def test_concurrent_deliveries_store_one_callback(database: Database) -> None:
    results = await asyncio.gather(*(deliver(database, RECORDED) for _ in range(4)))
    assert sorted(results) == [[False], [False], [False], [True]]


async def test_the_raw_callback_is_stored_unchanged(database: Database) -> None:
    parameters = (("StatusCallbackEvent", "ringing"), ("StatusCallbackEvent", "answered"), ("Empty", ""))
    async with database.transaction() as session:
        await intake.store(session, RawCallback("status", parameters, "token"), RINGING, KEEP)
    async with database.transaction() as session:
        kept = (await session.scalars(select(Callback))).one()
    assert kept.parameters == [list(pair) for pair in parameters]
    assert (kept.route, kept.call_sid, kept.idempotency_token) == ("status", CALL, "token")


async def test_characters_that_postgres_cannot_store_are_replaced(database: Database) -> None:
    strange = replace(INITIATED, from_number="a\0b\ud800", duration_s=2**40)
    async with database.transaction() as session:
        assert await intake.store(session, RawCallback("status", (("From", "a\0b\ud800"),), "\0"), strange, KEEP)
    call = await call_row(database)
    assert (call.from_number, call.duration_s) == ("a\ufffdb\ufffd", None)
