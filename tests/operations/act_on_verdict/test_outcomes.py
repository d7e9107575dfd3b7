"""Actions after a verdict run once, with the current settings."""

import asyncio
from contextlib import AsyncExitStack
from functools import partial

import httpx2
import pytest

from amd_service.database.pool import Database, Timeouts
from amd_service.domain import Label
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio
from amd_service.telemetry import Metrics
from tests.support.actions import AGENT, answered, call_at, counted, judged, make_runner, outcome, run, settings_for
from tests.support.deliveries import deliver, recording
from tests.support.locks import holding
from tests.support.sids import CALL
from tests.support.waiting import until
from tests.support.workers import judge_human, make_worker

pytestmark = pytest.mark.anyio


async def test_a_voicemail_is_hung_up_on(
    database: Database, twilio: SimulatedTwilio, client: httpx2.AsyncClient
) -> None:
    settings, call = settings_for(twilio), call_at(twilio)
    await judged(database, settings)
    runner = make_runner(database, client, settings)
    await run(runner)
    assert (call.status, call.updates) == ("completed", [[("Status", "completed")]])
    assert await outcome(database) == ("done", None)
    assert counted(runner, "hang_up", "done") == 1


async def test_a_human_is_redirected_to_the_url_of_the_settings(
    database: Database, twilio: SimulatedTwilio, client: httpx2.AsyncClient
) -> None:
    settings, call = settings_for(twilio), call_at(twilio)
    await judged(database, settings, Label.HUMAN)
    await run(make_runner(database, client, settings))
    assert [dict(form)["Url"] for form in call.updates] == [AGENT]
    assert (call.status, await outcome(database)) == ("in-progress", ("done", None))


async def test_the_worker_schedules_the_action_of_the_settings(
    database: Database, twilio: SimulatedTwilio, client: httpx2.AsyncClient
) -> None:
    settings, call = settings_for(twilio, on_human="hang_up"), call_at(twilio)
    await deliver(database, answered(CALL), recording("completed"))
    assert await make_worker(database, judge_human, live=True, on_human="hang_up").drain() == 1
    await run(make_runner(database, client, settings))
    assert (call.status, await outcome(database)) == ("completed", ("done", None))


async def test_two_workers_act_once(database: Database, twilio: SimulatedTwilio, client: httpx2.AsyncClient) -> None:
    settings, call = settings_for(twilio), call_at(twilio)
    await judged(database, settings)
    await asyncio.gather(*(run(make_runner(database, client, settings)) for _ in range(4)))
    assert (len(call.updates), await outcome(database)) == (1, ("done", None))


async def test_a_worker_without_the_accounts_credentials_leaves_the_action_to_another_worker(
    database: Database, twilio: SimulatedTwilio, client: httpx2.AsyncClient
) -> None:
    settings, call = settings_for(twilio), call_at(twilio)
    await judged(database, settings)
    await run(make_runner(database, client, settings_for(twilio, twilio_account_sid="AC" + "b" * 32)))
    assert (await outcome(database))[0] == "due"
    await run(make_runner(database, client, settings))
    assert (call.status, await outcome(database)) == ("completed", ("done", None))


@pytest.mark.parametrize(
    "wanted",
    [
        {"on_voicemail": "nothing", "on_human": "nothing"},
        {"on_voicemail": "nothing", "on_human": "hang_up"},
        {"on_voicemail": AGENT},
    ],
    ids=["nothing", "another label's", "another"],
)
async def test_a_worker_with_other_settings_leaves_the_action_to_another_worker(
    database: Database, twilio: SimulatedTwilio, client: httpx2.AsyncClient, wanted: dict[str, str]
) -> None:
    settings, call = settings_for(twilio), call_at(twilio)
    await judged(database, settings)
    await run(make_runner(database, client, settings_for(twilio, **wanted)))
    assert (await outcome(database))[0] == "due"
    await run(make_runner(database, client, settings))
    assert (call.status, await outcome(database)) == ("completed", ("done", None))


async def test_the_outcome_is_stored_once_another_session_no_longer_locks_the_call(
    database: Database, twilio: SimulatedTwilio, client: httpx2.AsyncClient
) -> None:
    settings, call, metrics = settings_for(twilio), call_at(twilio), Metrics()
    await judged(database, settings)
    impatient = Database(database.url, timeouts=Timeouts(lock_s=0.1), metrics=metrics)
    runner = make_runner(impatient, client, settings)
    async with AsyncExitStack() as stack:
        lock = holding(database.url, f"select 1 from call_log where call_sid = '{CALL}' for update")
        twilio.rest.before = partial(stack.enter_async_context, lock)
        await runner.start_due()
        await until(lambda: metrics.registry.get_sample_value("amd_lock_timeouts_total") == 1)
        assert (call.status, (await outcome(database))[0]) == ("completed", "sent")
    await runner.wait_for_responses()
    assert await outcome(database) == ("done", None)
    await impatient.dispose()
