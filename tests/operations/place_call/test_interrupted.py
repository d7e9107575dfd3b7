"""Placing calls while the caller disconnects, the process ends, or the database becomes unavailable."""

import asyncio

import httpx2
import pytest
from sqlalchemy import select

from amd_service.calls.tables import CallRequestRow, RequestOutcome
from amd_service.database.pool import Database
from amd_service.errors import IdempotencyKeyInUse
from amd_service.operations.place_call import Started
from amd_service.simulator.twilio.resources import SimulatedCall, call_resource
from tests.support.call_placing import AC, REQUEST, make_placer, make_settings

pytestmark = pytest.mark.anyio


async def test_a_call_is_stored_after_its_caller_disconnected(database: Database) -> None:
    arrived, answering = asyncio.Event(), asyncio.Event()
    call = SimulatedCall(account_sid=AC)

    async def answer(_request: httpx2.Request) -> httpx2.Response:
        arrived.set()
        await answering.wait()
        return httpx2.Response(201, json=call_resource(call))

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as client:
        settings = make_settings()
        call_placer = make_placer(database, client, settings)
        asking = asyncio.create_task(call_placer.start(REQUEST, "key"))
        await arrived.wait()
        with pytest.raises(IdempotencyKeyInUse, match="is running"):
            await call_placer.start(REQUEST, "key")
        asking.cancel()
        answering.set()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert await call_placer.start(REQUEST, "key") == Started(
            call.sid,  # type: ignore[arg-type]
            "queued",
            replayed=True,
        )


async def test_a_process_that_ends_during_the_request_leaves_the_outcome_unknown(database: Database) -> None:
    arrived = asyncio.Event()

    async def answer(_request: httpx2.Request) -> httpx2.Response:
        arrived.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as client:
        settings = make_settings()
        call_placer = make_placer(database, client, settings)
        before = asyncio.all_tasks()
        asking = asyncio.create_task(call_placer.start(REQUEST, "key"))
        await arrived.wait()
        for task in asyncio.all_tasks() - before:
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        with pytest.raises(IdempotencyKeyInUse, match="is unknown"):
            await call_placer.start(REQUEST, "key")


async def test_a_placed_call_is_returned_although_the_database_is_unavailable(database: Database) -> None:
    call = SimulatedCall(account_sid=AC)

    async def answer(_request: httpx2.Request) -> httpx2.Response:
        await leaving.dispose()
        leaving.url = "postgresql://nobody@127.0.0.1:1/nowhere"
        return httpx2.Response(201, json=call_resource(call))

    leaving = Database(database.url)
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as client:
        settings = make_settings()
        call_placer = make_placer(leaving, client, settings)
        started = await call_placer.start(REQUEST, "key")
    await leaving.dispose()
    assert started.call_sid == call.sid
    async with database.transaction() as session:
        assert await session.scalar(select(CallRequestRow.outcome)) == RequestOutcome.PENDING
