"""Placed calls, and requests that are refused before they reach Twilio."""

import asyncio

import httpx2
import pytest
from sqlalchemy import select

from amd_service.calls import intake
from amd_service.calls.lookup import read_call
from amd_service.calls.number_policy import NumberPolicy
from amd_service.calls.tables import Base
from amd_service.database.pool import Database
from amd_service.errors import (
    AmdError,
    DatabaseUnavailable,
    NotAllowed,
    OutcomeUnknown,
    RequestRefused,
    TooManyCalls,
)
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio
from amd_service.simulator.twilio.media_host import ScriptedResponse
from amd_service.twilio.rest import RestClient
from tests.support.app import open_app
from tests.support.call_placing import AC, REQUEST, TOKEN, Phone, make_phone, reservation_lock_held

pytestmark = pytest.mark.anyio


async def test_a_placed_call_is_recorded_and_has_a_row_immediately(phone: Phone) -> None:
    started = await phone.start()
    call = phone.simulated_twilio.rest.calls[started.call_sid]
    assert (call.to_number, call.form_value("Record"), call.form_value("RecordingTrack")) == (
        REQUEST.to,
        "true",
        "inbound",
    )
    assert call.form_value("StatusCallback") == "https://amd.example.com/twilio/status#rt=6000&rc=3&rp=5xx,ct,rt"
    assert (started.status, started.replayed) == ("queued", False)
    async with phone.database.transaction() as session:
        row = await read_call(session, started.call_sid)
    assert row is not None
    assert (row["call_status"], row["analysis_state"], row["to_number"]) == ("queued", "waiting", REQUEST.to)


TAGGED = REQUEST.model_copy(update={"campaign": "spring", "tags": ("list-b", "vip"), "twilio_amd": True})
TAGGED_QUERY = "?campaign=spring&tag=list-b&tag=vip#rt=6000&rc=3&rp=5xx,ct,rt"


async def test_the_row_and_every_callback_url_of_a_placed_call_name_campaign_and_tags(phone: Phone) -> None:
    started = await phone.start(request=TAGGED)
    call = phone.simulated_twilio.rest.calls[started.call_sid]
    assert [
        call.form_value(name) for name in ("StatusCallback", "RecordingStatusCallback", "AsyncAmdStatusCallback")
    ] == [f"https://amd.example.com/twilio/{path}{TAGGED_QUERY}" for path in ("status", "recording", "amd")]
    async with phone.database.transaction() as session:
        row = await read_call(session, started.call_sid)
    assert row is not None
    assert (row["campaign"], row["tags"]) == ("spring", ["list-b", "vip"])


async def test_the_twiml_url_of_a_live_call_names_campaign_and_tags(
    simulated_twilio: SimulatedTwilio, client: httpx2.AsyncClient, database: Database
) -> None:
    phone = make_phone(simulated_twilio, client, database, live=True)
    started = await phone.start(request=TAGGED.model_copy(update={"url": None}))
    url = simulated_twilio.rest.calls[started.call_sid].form_value("Url")
    assert url == f"https://amd.example.com/twilio/stream.xml{TAGGED_QUERY}"


async def test_a_call_whose_row_was_not_stored_gets_its_campaign_from_the_callbacks(
    simulated_twilio: SimulatedTwilio, client: httpx2.AsyncClient, database: Database
) -> None:
    simulated_twilio.rest.scripted.append(ScriptedResponse(503, carried_out=True))
    phone = make_phone(simulated_twilio, client, database)
    with pytest.raises(OutcomeUnknown):
        await phone.start(request=TAGGED)
    (call,) = simulated_twilio.rest.calls.values()
    service = open_app(database, public_url="https://amd.example.com", twilio_account_sid=AC, twilio_auth_token=[TOKEN])
    url = call.form_value("StatusCallback") or ""
    path = url.partition("#")[0].removeprefix("https://amd.example.com")
    pairs = [("AccountSid", AC), ("CallSid", call.sid), ("CallStatus", "ringing"), ("SequenceNumber", "1")]
    assert (await service.callback(path, pairs, token=TOKEN)).status_code == 204
    found = (await service.client.get(f"/api/calls/{call.sid}")).json()
    assert (found["campaign"], found["tags"]) == ("spring", ["list-b", "vip"])
    await service.client.aclose()


async def test_reconciliation_keeps_the_campaign(phone: Phone) -> None:
    started = await phone.start(request=TAGGED)
    listed = await RestClient(phone.client, phone.settings).get_call(phone.settings.accounts[AC], started.call_sid)
    assert listed is not None
    async with phone.database.transaction() as session:
        await intake.store(session, listed.raw, listed.event, NumberPolicy("keep"))
        row = await read_call(session, started.call_sid)
    assert row is not None
    assert (row["campaign"], row["tags"]) == ("spring", ["list-b", "vip"])


async def test_the_limit_per_minute_holds_for_all_processes_together(
    simulated_twilio: SimulatedTwilio, client: httpx2.AsyncClient, database: Database
) -> None:
    phone = make_phone(simulated_twilio, client, database, dial_per_minute=3)
    other = phone.another()
    answers = await asyncio.gather(*(process.start() for process in [phone, other] * 4), return_exceptions=True)
    assert len(simulated_twilio.rest.calls) == 3
    refused = [answer for answer in answers if isinstance(answer, TooManyCalls)]
    assert len(refused) == 5
    assert all(50 < answer.retry_after_s <= 60 and "AMD_DIAL_PER_MINUTE" in str(answer) for answer in refused)


async def test_the_log_does_not_contain_the_url_of_a_refused_request(
    phone: Phone, capfd: pytest.CaptureFixture[str]
) -> None:
    request = REQUEST.model_copy(update={"url": "https://user:password@example.com/twiml?key=secret"})
    said = b'{"code": 21205, "message": "Url is not a valid url: %s"}' % str(request.url).encode()
    phone.simulated_twilio.rest.scripted.append(ScriptedResponse(400, said))
    with pytest.raises(RequestRefused, match="key=secret"):
        await phone.start("key", request)
    logged = "".join(capfd.readouterr())
    assert "Url is not a valid url: …" in logged
    assert [secret for secret in ("password", "secret") if secret in logged] == []


@pytest.mark.parametrize(
    ("answer", "level"),
    [
        (ScriptedResponse(503, carried_out=True), "warning"),
        (ScriptedResponse(401, b'{"code": 20003, "message": "Authenticate"}'), "warning"),
        (ScriptedResponse(400, b'{"code": 21215, "message": "Geo permission"}'), "info"),
    ],
    ids=["unknown", "credentials", "the request"],
)
async def test_errors_that_the_caller_cannot_fix_are_logged_as_warnings(
    phone: Phone, answer: ScriptedResponse, level: str, capfd: pytest.CaptureFixture[str]
) -> None:
    phone.simulated_twilio.rest.scripted.append(answer)
    with pytest.raises(AmdError):
        await phone.start()
    (line,) = [line for line in "".join(capfd.readouterr()).splitlines() if "call request failed" in line]
    assert f"{level} " in line


async def test_a_placed_call_stores_no_number_that_must_not_be_kept(
    simulated_twilio: SimulatedTwilio, client: httpx2.AsyncClient, database: Database
) -> None:
    phone = make_phone(simulated_twilio, client, database, phone_numbers="drop")
    started = await phone.start("key")
    async with database.transaction() as session:
        stored = [(await session.execute(select(table))).all() for table in Base.metadata.sorted_tables]
    assert started.call_sid in repr(stored)
    assert REQUEST.to not in repr(stored)
    assert REQUEST.from_number not in repr(stored)


async def test_no_call_is_placed_without_a_database(
    simulated_twilio: SimulatedTwilio, client: httpx2.AsyncClient
) -> None:
    away = Database("postgresql://nobody@127.0.0.1:1/nowhere")
    with pytest.raises(DatabaseUnavailable):
        await make_phone(simulated_twilio, client, away).start()
    assert simulated_twilio.rest.requests == []


async def test_two_requests_at_a_time_wait_for_postgres_and_the_others_time_out(
    phone: Phone, database_url: str
) -> None:
    phone = phone.another(reserve_wait_s=0.05)
    async with reservation_lock_held(database_url):
        requests = [asyncio.create_task(phone.start()) for _ in range(5)]
        refused = await asyncio.gather(*requests[2:], return_exceptions=True)
        assert all(
            isinstance(error, DatabaseUnavailable) and "earlier call requests" in str(error) for error in refused
        )
        assert not any(request.done() for request in requests[:2])
    await asyncio.gather(*requests[:2])
    assert len(phone.simulated_twilio.rest.calls) == 2
    assert not (await phone.start()).replayed


async def test_a_request_that_is_not_allowed_is_neither_sent_nor_stored(
    simulated_twilio: SimulatedTwilio, client: httpx2.AsyncClient, database: Database
) -> None:
    phone = make_phone(simulated_twilio, client, database, dial_prefixes=[])
    with pytest.raises(NotAllowed, match="AMD_DIAL_PREFIXES"):
        await phone.start("key")
    with pytest.raises(RequestRefused, match="printable ASCII"):
        await make_phone(simulated_twilio, client, database).start("naïve")
    assert (simulated_twilio.rest.requests, await phone.requests()) == ([], [])


async def test_with_live_streams_a_request_without_twiml_plays_our_twiml(
    simulated_twilio: SimulatedTwilio, client: httpx2.AsyncClient, database: Database
) -> None:
    phone = make_phone(simulated_twilio, client, database, live=True)
    started = await phone.start(None, REQUEST.model_copy(update={"url": None}))
    url = simulated_twilio.rest.calls[started.call_sid].form_value("Url")
    assert url is not None
    assert url.startswith("https://amd.example.com/twilio/stream.xml")
