"""Acting on verdicts against Twilio's stand-in: once, at once, and with its outcome on the row."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import httpx2
import pytest

from amd_service.calls import queue
from amd_service.calls.database import Database
from amd_service.domain import CallSid, Label, RecordingSid, StatusCallback
from amd_service.lab.stand_in.known_calls import StandInCall
from amd_service.lab.stand_in.media_host import Answer
from amd_service.lab.stand_in.rest_api import RestRequest
from amd_service.lab.stand_in.server import StandIn
from amd_service.settings import Account, Settings
from amd_service.telemetry import Metrics
from amd_service.twilio.rest import Rest
from amd_service.worker import acting as acting_file
from amd_service.worker.acting import Actor, acting
from amd_service.worker.chores import Chore, doing
from tests.calls.deliveries import (
    ACCOUNT,
    CALL,
    FIRST,
    SECOND,
    call_row,
    claim,
    deliver,
    recording,
    settle,
    status,
    verdict,
)
from tests.twilio.stand_in import watched_stand_in
from tests.worker.conftest import judge_human, make_worker

pytestmark = pytest.mark.anyio

AGENT = "https://example.org/agent?key=secret"


@pytest.fixture
async def twilio() -> AsyncIterator[StandIn]:
    async with watched_stand_in(Account.model_validate({"account_sid": ACCOUNT, "auth_tokens": ["token"]})) as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(trust_env=False) as client:
        yield client


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acting_file, "RETRY_PAUSES_S", (0.0, 0.0))


def settings_for(twilio: StandIn, **changes: Any) -> Settings:
    values: dict[str, Any] = {
        "twilio_api_url": twilio.url,
        "twilio_account_sid": ACCOUNT,
        "twilio_auth_token": ["token"],
        "on_voicemail": "hang_up",
        "on_human": AGENT,
    }
    return Settings(_env_file=None, **values | changes)


def make_actor(database: Database, client: httpx2.AsyncClient, settings: Settings) -> Actor:
    return Actor(database=database, rest=Rest(client, settings), settings=settings, metrics=Metrics())


def call_at(twilio: StandIn, status: str = "in-progress") -> StandInCall:
    return twilio.rest.add(StandInCall(account_sid=ACCOUNT, sid=CALL, status=status))


def answered(call_sid: CallSid) -> StatusCallback:
    return status("in-progress", call_sid=call_sid, timestamp=datetime.now(UTC))


async def judged(database: Database, settings: Settings, label: Label = Label.VOICEMAIL) -> None:
    await deliver(database, answered(CALL), recording("completed"))
    (job,) = await claim(database)
    await settle(database, job, verdict(label), settings.actions)


async def two_judged_in_turn(
    database: Database, twilio: StandIn, settings: Settings
) -> list[Callable[[], Awaitable[None]]]:
    """Two voicemails that are up; each gets its verdict when its function is called."""

    async def judge(call: StandInCall, sid: RecordingSid) -> None:
        call_sid = CallSid(call.sid)
        await deliver(database, answered(call_sid), recording("completed", sid, call_sid=call_sid))
        (job,) = await claim(database)
        await settle(database, job, verdict(Label.VOICEMAIL), settings.actions)

    calls = [twilio.rest.add(StandInCall(account_sid=ACCOUNT, status="in-progress")) for _ in range(2)]
    return [partial(judge, call, sid) for call, sid in zip(calls, (FIRST, SECOND), strict=True)]


async def act(actor: Actor) -> None:
    await actor.act()
    await actor.finish()


async def outcome(database: Database) -> tuple[str | None, str | None]:
    call = await call_row(database)
    return call.action_state, call.action_note


def arrivals(twilio: StandIn) -> asyncio.Queue[float]:
    """When each request reaches Twilio, from now on."""
    arrived: asyncio.Queue[float] = asyncio.Queue()

    def note(_asked: RestRequest) -> tuple[str, ...]:
        arrived.put_nowait(time.perf_counter())
        return ()

    twilio.rest.check = note
    return arrived


def counted(actor: Actor, kind: str, state: str) -> float | None:
    return actor._metrics.registry.get_sample_value("amd_actions_total", {"kind": kind, "outcome": state})


async def test_a_voicemail_is_hung_up_on(database: Database, twilio: StandIn, client: httpx2.AsyncClient) -> None:
    settings, call = settings_for(twilio), call_at(twilio)
    await judged(database, settings)
    actor = make_actor(database, client, settings)
    await act(actor)
    assert (call.status, call.updates) == ("completed", [[("Status", "completed")]])
    assert await outcome(database) == ("done", None)
    assert counted(actor, "hang_up", "done") == 1


async def test_a_human_is_redirected_to_the_url_of_the_settings(
    database: Database, twilio: StandIn, client: httpx2.AsyncClient
) -> None:
    settings, call = settings_for(twilio), call_at(twilio)
    await judged(database, settings, Label.HUMAN)
    await act(make_actor(database, client, settings))
    assert [dict(form)["Url"] for form in call.updates] == [AGENT]
    assert (call.status, await outcome(database)) == ("in-progress", ("done", None))


async def test_the_worker_orders_what_the_settings_want(
    database: Database, twilio: StandIn, client: httpx2.AsyncClient
) -> None:
    settings, call = settings_for(twilio, on_human="hang_up"), call_at(twilio)
    await deliver(database, answered(CALL), recording("completed"))
    assert await make_worker(database, judge_human, on_human="hang_up").drain() == 1
    await act(make_actor(database, client, settings))
    assert (call.status, await outcome(database)) == ("completed", ("done", None))


async def test_two_workers_act_once(database: Database, twilio: StandIn, client: httpx2.AsyncClient) -> None:
    settings, call = settings_for(twilio), call_at(twilio)
    await judged(database, settings)
    await asyncio.gather(*(act(make_actor(database, client, settings)) for _ in range(4)))
    assert (len(call.updates), await outcome(database)) == (1, ("done", None))


async def test_a_call_that_is_over_at_twilio_is_refused_with_its_words(
    database: Database, twilio: StandIn, client: httpx2.AsyncClient
) -> None:
    settings = settings_for(twilio)
    call_at(twilio, "completed")
    await judged(database, settings)
    await act(make_actor(database, client, settings))
    state, note = await outcome(database)
    assert state == "refused"
    assert note is not None
    assert "Call is not in-progress" in note


async def test_a_refusal_does_not_repeat_the_url(
    database: Database, twilio: StandIn, client: httpx2.AsyncClient
) -> None:
    settings = settings_for(twilio)
    call_at(twilio)
    body = b'{"code": 21205, "message": "Url is not a valid url: %s"}' % AGENT.encode()
    twilio.rest.first.append(Answer(400, body, {"content-type": "application/json"}))
    await judged(database, settings, Label.HUMAN)
    await act(make_actor(database, client, settings))
    assert await outcome(database) == ("refused", "Twilio refused (400): Url is not a valid url: …")


async def test_who_dies_between_sending_and_the_answer_leaves_it_for_nobody(
    database: Database, twilio: StandIn, client: httpx2.AsyncClient
) -> None:
    settings, call, arrived = settings_for(twilio), call_at(twilio), arrivals(twilio)
    twilio.rest.first.append(Answer(200, silent=True))
    await judged(database, settings)
    dying = make_actor(database, client, settings)
    await dying.act()
    await arrived.get()
    await dying.finish(grace_s=0)
    await act(make_actor(database, client, settings))
    assert (len(twilio.rest.requests), call.updates, await outcome(database)) == (1, [], ("sent", None))


async def test_a_lost_answer_is_said_and_never_asked_again(
    database: Database, twilio: StandIn, client: httpx2.AsyncClient, no_pauses: None
) -> None:
    settings, call = settings_for(twilio), call_at(twilio)
    twilio.rest.first.append(Answer(200, b"{", cut=True, carried_out=True))
    await judged(database, settings)
    actor = make_actor(database, client, settings)
    await act(actor)
    await act(actor)
    state, note = await outcome(database)
    assert (len(call.updates), call.status, state) == (1, "completed", "sent")
    assert note is not None
    assert note.startswith("it may have been done")


async def test_an_answer_nobody_can_read_is_no_reason_to_ask_again(
    database: Database, twilio: StandIn, client: httpx2.AsyncClient
) -> None:
    settings, call = settings_for(twilio), call_at(twilio)
    twilio.rest.first.append(Answer(200, b"<html>", carried_out=True))
    await judged(database, settings)
    actor = make_actor(database, client, settings)
    await act(actor)
    await act(actor)
    state, note = await outcome(database)
    assert (len(call.updates), state, counted(actor, "hang_up", "sent")) == (1, "sent", 1)
    assert note is not None
    assert note.startswith("it may have been done")


async def test_too_many_requests_is_asked_again(
    database: Database, twilio: StandIn, client: httpx2.AsyncClient, no_pauses: None
) -> None:
    settings, call = settings_for(twilio), call_at(twilio)
    twilio.rest.first.extend([Answer(429, headers={"retry-after": "0"})] * 2)
    await judged(database, settings)
    await act(make_actor(database, client, settings))
    assert (len(call.updates), await outcome(database)) == (1, ("done", None))


async def test_twilio_out_of_reach_is_a_failure_that_says_nothing_was_done(
    database: Database, twilio: StandIn, client: httpx2.AsyncClient, no_pauses: None, free_tcp_port: int
) -> None:
    settings = settings_for(twilio, twilio_api_url=f"http://127.0.0.1:{free_tcp_port}")
    await judged(database, settings)
    actor = make_actor(database, client, settings)
    await act(actor)
    state, note = await outcome(database)
    assert (state, counted(actor, "hang_up", "failed")) == ("failed", 1)
    assert note is not None
    assert note.startswith("nothing was done: ")


async def test_an_account_without_credentials_here_is_a_failure_with_the_cure(
    database: Database, twilio: StandIn, client: httpx2.AsyncClient
) -> None:
    settings = settings_for(twilio, twilio_account_sid="AC" + "b" * 32)
    await judged(database, settings)
    await act(make_actor(database, client, settings))
    state, note = await outcome(database)
    assert state == "failed"
    assert "AMD_ACCOUNTS_FILE" in (note or "")
    assert twilio.rest.requests == []


async def test_what_the_settings_no_longer_want_is_not_done(
    database: Database, twilio: StandIn, client: httpx2.AsyncClient
) -> None:
    await judged(database, settings_for(twilio))
    await act(make_actor(database, client, settings_for(twilio, on_voicemail="nothing")))
    assert ((await outcome(database))[0], twilio.rest.requests) == ("refused", [])


async def test_a_slow_answer_keeps_no_other_call_waiting(
    database: Database, twilio: StandIn, client: httpx2.AsyncClient
) -> None:
    settings, arrived = settings_for(twilio), arrivals(twilio)
    twilio.rest.first.append(Answer(200, silent=True))
    slow, quick = await two_judged_in_turn(database, twilio, settings)
    actor = make_actor(database, client, settings)
    await slow()
    await actor.act()
    await arrived.get()
    await quick()
    await actor.act()
    await asyncio.wait(actor._asking, return_when=asyncio.FIRST_COMPLETED)
    assert sorted(call.status for call in twilio.rest.calls.values()) == ["completed", "in-progress"]
    await actor.finish(grace_s=0)


async def test_no_more_are_taken_up_than_may_be_asked_for_at_a_time(
    database: Database, twilio: StandIn, client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acting_file, "AT_ONCE", 1)
    settings = settings_for(twilio)
    for judge in await two_judged_in_turn(database, twilio, settings):
        await judge()
    actor = make_actor(database, client, settings)
    await actor.act()
    actor.wake.clear()
    await actor.finish()
    assert len(twilio.rest.requests) == 1
    assert actor.wake.is_set()  # a place is free
    await act(actor)
    assert [call.status for call in twilio.rest.calls.values()] == ["completed"] * 2


async def test_the_request_follows_the_verdict_within_milliseconds(
    database: Database, twilio: StandIn, client: httpx2.AsyncClient
) -> None:
    settings, arrived, metrics = settings_for(twilio), arrivals(twilio), Metrics()
    actor, took_ms = make_actor(database, client, settings), []
    listening = asyncio.Event()

    async def act_and_say() -> None:
        await actor.act()
        listening.set()

    # Only notifications bring it round in time: by itself it looks again after an hour.
    chore = Chore("acting", 3600, act_and_say, actor.wake)
    async with queue.listen(database.url, actor.wake, metrics) as listener, asyncio.timeout(30):
        await listener.listening.wait()
        async with doing([chore], metrics, grace_s=5):
            await listening.wait()
            for judge in await two_judged_in_turn(database, twilio, settings):
                await judge()
                settled_at = time.perf_counter()
                took_ms.append(round((await arrived.get() - settled_at) * 1000, 1))
            await actor.finish()
    print("verdict committed → request at Twilio, ms:", took_ms)  # noqa: T201 - a measurement
    assert min(took_ms) < 500
    assert [call.status for call in twilio.rest.calls.values()] == ["completed"] * 2


async def test_the_last_verdicts_of_a_process_are_acted_on(
    database: Database, twilio: StandIn, client: httpx2.AsyncClient
) -> None:
    settings, call = settings_for(twilio), call_at(twilio)
    async with acting(make_actor(database, client, settings), database, Metrics(), grace_s=10):
        await judged(database, settings)
    assert (call.status, await outcome(database)) == ("completed", ("done", None))


async def test_a_database_that_is_away_does_not_spoil_the_end(
    twilio: StandIn, client: httpx2.AsyncClient, free_tcp_port: int
) -> None:
    away = Database(f"postgresql://nobody@127.0.0.1:{free_tcp_port}/nothing")
    async with acting(make_actor(away, client, settings_for(twilio)), away, Metrics(), grace_s=1) as actor:
        pass
    assert not actor._asking
