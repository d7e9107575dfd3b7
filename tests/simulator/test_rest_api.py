"""The stand-in for Twilio's REST API: shapes and rules as Twilio's, and calls that live."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from jsonschema_rs import Draft202012Validator
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from amd_service.domain import AccountSid
from amd_service.simulator.twilio.call_lifecycle import Life, live_out
from amd_service.simulator.twilio.call_store import StandInCall, StandInRecording
from amd_service.simulator.twilio.media_host import Answer, MediaHost, Reel
from amd_service.simulator.twilio.server import StandIn, serve_on_loopback, serve_stand_in
from tests.twilio.openapi.description import EXTRACT

pytestmark = pytest.mark.anyio

AC = AccountSid("AC" + "a" * 32)
CALLS = f"/2010-04-01/Accounts/{AC}/Calls"
RECORDINGS = f"/2010-04-01/Accounts/{AC}/Recordings"

ANSWERED = ["initiated", "ringing", "in-progress", "AnsweredBy=human", "recording in-progress", "completed"]


@pytest.fixture
async def stand_in() -> AsyncIterator[StandIn]:
    async with serve_stand_in(MediaHost({AC: (AC, "token")})) as running:
        yield running


@pytest.fixture
async def client(stand_in: StandIn) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=stand_in.url, auth=(AC, "token"), trust_env=False) as client:
        yield client


async def test_a_placed_call_is_queued_and_its_parameters_are_remembered(
    stand_in: StandIn, client: httpx2.AsyncClient
) -> None:
    form = {"To": "+1212", "From": "+1313", "StatusCallbackEvent": ["initiated", "completed"]}
    answer = await client.post(f"{CALLS}.json", data=form)
    assert (answer.status_code, answer.json()["status"], answer.json()["to"]) == (201, "queued", "+1212")
    call = stand_in.rest.calls[answer.json()["sid"]]
    assert call.all_given("StatusCallbackEvent") == ["initiated", "completed"]
    assert (await client.get(f"{CALLS}/{call.sid}.json")).json()["direction"] == "outbound-api"


async def test_without_credentials_nothing_is_told(stand_in: StandIn) -> None:
    async with httpx2.AsyncClient(base_url=stand_in.url, trust_env=False) as client:
        answer = await client.get(f"{CALLS}.json")
    assert (answer.status_code, answer.json()["code"]) == (401, 20003)


async def test_a_call_that_is_over_cannot_be_changed(stand_in: StandIn, client: httpx2.AsyncClient) -> None:
    call = stand_in.rest.add(StandInCall(account_sid=AC, status="in-progress"))
    assert (await client.post(f"{CALLS}/{call.sid}.json", data={"Status": "completed"})).status_code == 200
    answer = await client.post(f"{CALLS}/{call.sid}.json", data={"Url": "https://example.org"})
    assert (answer.status_code, answer.json()["code"], call.status) == (400, 21220, "completed")
    unknown = await client.post(f"{CALLS}/CA{'0' * 32}.json", data={"Status": "completed"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, 20404)


async def test_a_deleted_recording_is_gone(stand_in: StandIn, client: httpx2.AsyncClient) -> None:
    call = stand_in.rest.add(StandInCall(account_sid=AC))
    call.recordings.append(StandInRecording(call_sid=call.sid))
    sid = call.recordings[0].sid
    stand_in.media.reels[sid] = Reel(b"RIFF")
    assert (await client.get(f"{CALLS}/{call.sid}/Recordings.json")).json()["recordings"][0]["track"] == "inbound"
    assert [(await client.delete(f"{RECORDINGS}/{sid}.json")).status_code for _ in range(2)] == [204, 404]
    assert (await client.get(f"{RECORDINGS}/{sid}.wav")).status_code == 404
    assert (await client.get(f"{RECORDINGS}.json")).json()["recordings"] == []


async def test_answers_can_be_scripted_and_still_carried_out(stand_in: StandIn, client: httpx2.AsyncClient) -> None:
    stand_in.rest.first = [Answer(429, headers={"retry-after": "2"}), Answer(500, cut=True, carried_out=True)]
    form = {"To": "+1212", "From": "+1313"}
    assert (await client.post(f"{CALLS}.json", data=form)).headers["retry-after"] == "2"
    assert not stand_in.rest.calls
    with pytest.raises(httpx2.RemoteProtocolError):
        await client.post(f"{CALLS}.json", data=form)
    assert len(stand_in.rest.calls) == 1


async def test_a_silent_answer_lasts_until_the_other_side_leaves(stand_in: StandIn, client: httpx2.AsyncClient) -> None:
    stand_in.rest.first = [Answer(200, silent=True)]
    with pytest.raises(httpx2.ReadTimeout):
        await client.get(f"{CALLS}.json", timeout=httpx2.Timeout(10, read=0.05))
    assert (await client.get(f"{CALLS}.json")).json()["calls"] == []


@pytest.mark.parametrize(
    ("life", "expected"),
    [
        (
            Life(reel=Reel(b"RIFF")),
            [*ANSWERED, "recording completed"],
        ),
        (Life(ending="busy"), ["initiated", "ringing", "busy"]),
        (
            Life(recording_status="absent"),
            [*ANSWERED, "recording absent"],
        ),
    ],
)
async def test_a_call_that_lives_reports_what_it_was_asked_to(
    stand_in: StandIn, client: httpx2.AsyncClient, life: Life, expected: list[str]
) -> None:
    told: list[str] = []

    async def receive(request: Request) -> Response:
        form = await request.form()
        amd = f"AnsweredBy={form.get('AnsweredBy')}"
        recording = f"recording {form.get('RecordingStatus')}"
        told.append(str(form.get("CallStatus") or (recording if "RecordingSid" in form else amd)))
        return Response(status_code=204)

    async def on_created(call: StandInCall) -> None:
        deliveries = await live_out(stand_in.rest, call, life, token="token", client=client)
        assert {delivery.status for delivery in deliveries} == {204}

    stand_in.rest.on_created = on_created
    async with serve_on_loopback(Starlette(routes=[Route("/{kind}", receive, methods=["POST"])])) as url:
        form = {
            "To": "+1212",
            "From": "+1313",
            "Record": "true",
            "StatusCallback": f"{url}/status#rc=3",
            "StatusCallbackEvent": ["initiated", "ringing", "answered", "completed"],
            "RecordingStatusCallback": f"{url}/recording",
            "RecordingStatusCallbackEvent": "in-progress completed absent",
            "AsyncAmd": "true",
            "AsyncAmdStatusCallback": f"{url}/amd",
        }
        sid = (await client.post(f"{CALLS}.json", data=form)).json()["sid"]
        await stand_in.rest.settled()
    assert told == expected
    assert (await client.get(f"{CALLS}/{sid}.json")).json()["status"] == life.ending


async def test_its_answers_are_as_twilio_describes_them(stand_in: StandIn, client: httpx2.AsyncClient) -> None:
    call = stand_in.rest.add(StandInCall(account_sid=AC))
    call.recordings.append(StandInRecording(call_sid=call.sid))
    paths = {
        f"{CALLS}.json": "/Calls.json",
        f"{CALLS}/{call.sid}.json": "/Calls/{Sid}.json",
        f"{CALLS}/{call.sid}/Recordings.json": "/Calls/{CallSid}/Recordings.json",
        f"{RECORDINGS}.json": "/Recordings.json",
    }
    document = json.loads(EXTRACT.read_text(encoding="utf-8"), object_hook=without_nullable)
    for path, template in paths.items():
        operation = document["paths"]["/2010-04-01/Accounts/{AccountSid}" + template]["get"]
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        validator = Draft202012Validator(schema | {"components": document["components"]})
        assert [error.message for error in validator.iter_errors((await client.get(path)).json())] == []


def without_nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """OpenAPI 3.0's `nullable` as JSON Schema says it."""
    if schema.get("nullable") is True and isinstance(schema.get("type"), str):
        return schema | {"type": [schema["type"], "null"]}
    return schema
