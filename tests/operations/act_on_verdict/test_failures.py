"""Actions that Twilio refuses, that fail, or whose outcome is unknown."""

import httpx2
import pytest

from amd_service.database.pool import Database
from amd_service.domain import Label
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio
from amd_service.simulator.twilio.media_host import ScriptedResponse
from tests.support.actions import (
    AGENT,
    arrivals,
    call_at,
    counted,
    judged,
    make_runner,
    outcome,
    run,
    settings_for,
)

pytestmark = pytest.mark.anyio


async def test_an_action_on_an_ended_call_is_refused_with_twilios_message(
    database: Database, twilio: SimulatedTwilio, client: httpx2.AsyncClient
) -> None:
    settings = settings_for(twilio)
    call_at(twilio, "completed")
    await judged(database, settings)
    await run(make_runner(database, client, settings))
    state, note = await outcome(database)
    assert state == "refused"
    assert note is not None
    assert "Call is not in-progress" in note


async def test_the_note_of_a_refused_action_does_not_contain_the_url(
    database: Database, twilio: SimulatedTwilio, client: httpx2.AsyncClient
) -> None:
    settings = settings_for(twilio)
    call_at(twilio)
    body = b'{"code": 21205, "message": "Url is not a valid url: %s"}' % AGENT.encode()
    twilio.rest.scripted.append(ScriptedResponse(400, body, {"content-type": "application/json"}))
    await judged(database, settings, Label.HUMAN)
    await run(make_runner(database, client, settings))
    assert await outcome(database) == (
        "refused",
        "Twilio refused (400): Url is not a valid url: … (Twilio's error 21205)",
    )


async def test_an_action_of_a_process_that_died_before_the_response_is_never_repeated(
    database: Database, twilio: SimulatedTwilio, client: httpx2.AsyncClient
) -> None:
    settings, call, arrived = settings_for(twilio), call_at(twilio), arrivals(twilio)
    twilio.rest.scripted.append(ScriptedResponse(200, silent=True))
    await judged(database, settings)
    dying = make_runner(database, client, settings)
    await dying.start_due()
    await arrived.get()
    await dying.wait_for_responses(grace_s=0)
    await run(make_runner(database, client, settings))
    assert (len(twilio.rest.requests), call.updates, await outcome(database)) == (1, [], ("sent", None))


async def test_an_action_whose_response_was_lost_is_noted_and_never_repeated(
    database: Database, twilio: SimulatedTwilio, client: httpx2.AsyncClient
) -> None:
    settings, call = settings_for(twilio), call_at(twilio)
    twilio.rest.scripted.append(ScriptedResponse(200, b"{", cut=True, carried_out=True))
    await judged(database, settings)
    runner = make_runner(database, client, settings)
    await run(runner)
    await run(runner)
    state, note = await outcome(database)
    assert (len(call.updates), call.status, state) == (1, "completed", "sent")
    assert note is not None
    assert note.startswith("the action may have been done")


async def test_an_action_whose_response_is_unreadable_is_never_repeated(
    database: Database, twilio: SimulatedTwilio, client: httpx2.AsyncClient
) -> None:
    settings, call = settings_for(twilio), call_at(twilio)
    twilio.rest.scripted.append(ScriptedResponse(200, b"<html>", carried_out=True))
    await judged(database, settings)
    runner = make_runner(database, client, settings)
    await run(runner)
    await run(runner)
    state, note = await outcome(database)
    assert (len(call.updates), state, counted(runner, "hang_up", "sent")) == (1, "sent", 1)
    assert note is not None
    assert note.startswith("the action may have been done")


async def test_an_action_is_retried_after_a_429(
    database: Database, twilio: SimulatedTwilio, client: httpx2.AsyncClient
) -> None:
    settings, call = settings_for(twilio), call_at(twilio)
    twilio.rest.scripted.extend([ScriptedResponse(429, headers={"retry-after": "0"})] * 2)
    await judged(database, settings)
    await run(make_runner(database, client, settings))
    assert (len(call.updates), await outcome(database)) == (1, ("done", None))


async def test_an_action_fails_with_nothing_done_when_twilio_is_unreachable(
    database: Database, twilio: SimulatedTwilio, client: httpx2.AsyncClient
) -> None:
    settings = settings_for(twilio, twilio_api_url="http://127.0.0.1:1")
    await judged(database, settings)
    runner = make_runner(database, client, settings)
    await run(runner)
    state, note = await outcome(database)
    assert (state, counted(runner, "hang_up", "failed")) == ("failed", 1)
    assert note is not None
    assert note.startswith("nothing was done: ")
