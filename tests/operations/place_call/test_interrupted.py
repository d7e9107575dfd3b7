"""Starting calls while somebody leaves: whoever asked, the process, the database."""

import asyncio

import httpx2
import pytest
from sqlalchemy import select

from amd_service.calls.tables import CallRequestRow, RequestOutcome
from amd_service.database.pool import Database
from amd_service.errors import IdempotencyKeyInUse
from amd_service.operations.place_call import Started
from amd_service.simulator.twilio.resources import SimulatedCall, call_resource
from tests.support.call_placing import AC, ORDER, make_placer, make_settings

pytestmark = pytest.mark.anyio


async def test_a_call_is_written_down_although_whoever_asked_has_left(database: Database) -> None:
    arrived, answering = asyncio.Event(), asyncio.Event()
    call = SimulatedCall(account_sid=AC)

    async def answer(_request: httpx2.Request) -> httpx2.Response:
        arrived.set()
        await answering.wait()
        return httpx2.Response(201, json=call_resource(call))

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as client:
        settings = make_settings()
        call_placer = make_placer(database, client, settings)
        asking = asyncio.create_task(call_placer.start(ORDER, "key"))
        await arrived.wait()
        with pytest.raises(IdempotencyKeyInUse, match="under way"):
            await call_placer.start(ORDER, "key")
        asking.cancel()
        answering.set()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert await call_placer.start(ORDER, "key") == Started(
            call.sid,  # type: ignore[arg-type]
            "queued",
            replayed=True,
        )


async def test_a_process_that_ends_while_twilio_is_asked_leaves_it_unknown(database: Database) -> None:
    arrived = asyncio.Event()

    async def answer(_request: httpx2.Request) -> httpx2.Response:
        arrived.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as client:
        settings = make_settings()
        call_placer = make_placer(database, client, settings)
        before = asyncio.all_tasks()
        asking = asyncio.create_task(call_placer.start(ORDER, "key"))
        await arrived.wait()
        for task in asyncio.all_tasks() - before:
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        with pytest.raises(IdempotencyKeyInUse, match="is not known"):
            await call_placer.start(ORDER, "key")


async def test_a_call_that_is_up_is_told_although_the_database_is_away(database: Database) -> None:
    call = SimulatedCall(account_sid=AC)

    async def answer(_request: httpx2.Request) -> httpx2.Response:
        await leaving.dispose()
        leaving.url = "postgresql://nobody@127.0.0.1:1/nowhere"
        return httpx2.Response(201, json=call_resource(call))

    leaving = Database(database.url)
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as client:
        settings = make_settings()
        call_placer = make_placer(leaving, client, settings)
        started = await call_placer.start(ORDER, "key")
    await leaving.dispose()
    assert started.call_sid == call.sid
    async with database.transaction() as session:
        assert await session.scalar(select(CallRequestRow.outcome)) == RequestOutcome.PENDING
