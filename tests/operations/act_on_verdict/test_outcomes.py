"""Actions after a verdict run once, with the current settings."""

import asyncio

import httpx2
import pytest

from amd_service.database.pool import Database
from amd_service.domain import Label
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio
from tests.support.actions import AGENT, answered, call_at, counted, judged, make_runner, outcome, run, settings_for
from tests.support.deliveries import deliver, recording
from tests.support.sids import CALL
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
