"""Actions run without delay, concurrently, and until the end of the process."""

import asyncio
import time

import httpx2
import pytest
from sqlalchemy import text

from amd_service.database.listener import wake_on_notify
from amd_service.database.pool import Database, Timeouts
from amd_service.operations.act_on_verdict import run_actions
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio
from amd_service.simulator.twilio.media_host import ScriptedResponse
from amd_service.telemetry import Metrics
from amd_service.worker.periodic import PeriodicTask, run_periodically
from tests.support.actions import (
    arrivals,
    call_at,
    judged,
    make_runner,
    outcome,
    run,
    settings_for,
    two_answered_calls,
)

pytestmark = pytest.mark.anyio


async def test_the_request_follows_the_verdict_within_milliseconds(
    database: Database, twilio: SimulatedTwilio, client: httpx2.AsyncClient
) -> None:
    settings, arrived, metrics = settings_for(twilio), arrivals(twilio), Metrics()
    runner, took_ms = make_runner(database, client, settings), []
    started = asyncio.Event()

    async def start_due() -> None:
        await runner.start_due()
        started.set()

    # Only a notification can start this task in time: its interval is an hour.
    task = PeriodicTask("acting", 3600, start_due, runner.wake)
    async with wake_on_notify(database.url, runner.wake, metrics) as listener, asyncio.timeout(30):
        await listener.listening.wait()
        async with run_periodically([task], metrics, grace_s=5):
            await started.wait()
            for judge in await two_answered_calls(database, twilio, settings):
                await judge()
                settled_at = time.perf_counter()
                took_ms.append(round((await arrived.get() - settled_at) * 1000, 1))
            await runner.wait_for_responses()
    print("verdict committed → request at Twilio, ms:", took_ms)  # noqa: T201 - a measurement
    assert min(took_ms) < 500
    assert [call.status for call in twilio.rest.calls.values()] == ["completed"] * 2


async def test_a_slow_response_does_not_delay_another_call(
    database: Database, twilio: SimulatedTwilio, client: httpx2.AsyncClient
) -> None:
    settings, arrived = settings_for(twilio), arrivals(twilio)
    twilio.rest.scripted.append(ScriptedResponse(200, silent=True))
    slow, quick = await two_answered_calls(database, twilio, settings)
    runner = make_runner(database, client, settings)
    await slow()
    await runner.start_due()
    await arrived.get()
    await quick()
    await runner.start_due()
    await asyncio.wait(runner.running, return_when=asyncio.FIRST_COMPLETED)
    assert sorted(call.status for call in twilio.rest.calls.values()) == ["completed", "in-progress"]
    await runner.wait_for_responses(grace_s=0)


async def test_no_more_actions_run_at_once_than_the_limit(
    database: Database, twilio: SimulatedTwilio, client: httpx2.AsyncClient
) -> None:
    settings = settings_for(twilio)
    for judge in await two_answered_calls(database, twilio, settings):
        await judge()
    runner = make_runner(database, client, settings, concurrency=1)
    await runner.start_due()
    runner.wake.clear()
    await runner.wait_for_responses()
    assert len(twilio.rest.requests) == 1
    assert runner.wake.is_set()  # a slot is free, so another action may start
    await run(runner)
    assert [call.status for call in twilio.rest.calls.values()] == ["completed"] * 2


async def test_actions_of_the_last_verdicts_run_at_the_shutdown(
    database: Database, twilio: SimulatedTwilio, client: httpx2.AsyncClient
) -> None:
    settings, call = settings_for(twilio), call_at(twilio)
    async with run_actions(make_runner(database, client, settings), database, start_s=10, wait_s=10):
        await judged(database, settings)
    assert (call.status, await outcome(database)) == ("completed", ("done", None))


async def test_a_hanging_database_delays_the_shutdown_by_the_grace_time_at_most(
    database: Database, twilio: SimulatedTwilio, client: httpx2.AsyncClient
) -> None:
    runner = make_runner(database, client, settings_for(twilio))
    async with database.transaction() as session:
        await session.execute(text("lock table call_log"))
        # This is less than the time limit of a statement.
        async with asyncio.timeout(Timeouts().statement_s - 0.5):
            await runner.run_last(start_s=0.2, wait_s=0.2)


async def test_an_unavailable_database_does_not_break_the_shutdown(
    twilio: SimulatedTwilio, client: httpx2.AsyncClient
) -> None:
    unavailable = Database("postgresql://nobody@127.0.0.1:1/nothing")
    async with run_actions(
        make_runner(unavailable, client, settings_for(twilio)), unavailable, start_s=1, wait_s=1
    ) as runner:
        pass
    assert not runner.running
