"""The simulated REST API uses Twilio's formats and rules, and simulates placed calls."""

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
from amd_service.simulator.twilio.call_simulation import CallScenario, simulate_call
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio, serve_on_loopback, serve_simulated_twilio
from amd_service.simulator.twilio.media_host import MediaFile, MediaHost, ScriptedResponse
from amd_service.simulator.twilio.resources import SimulatedCall, SimulatedRecording
from tests.twilio.openapi.description import EXTRACT

pytestmark = pytest.mark.anyio

AC = AccountSid("AC" + "a" * 32)
CALLS = f"/2010-04-01/Accounts/{AC}/Calls"
RECORDINGS = f"/2010-04-01/Accounts/{AC}/Recordings"

ANSWERED = ["initiated", "ringing", "in-progress", "AnsweredBy=human", "recording in-progress", "completed"]


@pytest.fixture
async def simulated_twilio() -> AsyncIterator[SimulatedTwilio]:
    async with serve_simulated_twilio(MediaHost({AC: (AC, "token")})) as running:
        yield running


@pytest.fixture
async def client(simulated_twilio: SimulatedTwilio) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=simulated_twilio.url, auth=(AC, "token"), trust_env=False) as client:
        yield client


async def test_a_placed_call_is_queued_and_its_parameters_are_remembered(
    simulated_twilio: SimulatedTwilio, client: httpx2.AsyncClient
) -> None:
    form = {"To": "+1212", "From": "+1313", "StatusCallbackEvent": ["initiated", "completed"]}
    answer = await client.post(f"{CALLS}.json", data=form)
    assert (answer.status_code, answer.json()["status"], answer.json()["to"]) == (201, "queued", "+1212")
    call = simulated_twilio.rest.calls[answer.json()["sid"]]
    assert call.form_values("StatusCallbackEvent") == ["initiated", "completed"]
    assert (await client.get(f"{CALLS}/{call.sid}.json")).json()["direction"] == "outbound-api"


async def test_a_request_without_credentials_is_rejected(simulated_twilio: SimulatedTwilio) -> None:
    async with httpx2.AsyncClient(base_url=simulated_twilio.url, trust_env=False) as client:
        answer = await client.get(f"{CALLS}.json")
    assert (answer.status_code, answer.json()["code"]) == (401, 20003)


async def test_an_ended_call_cannot_be_changed(simulated_twilio: SimulatedTwilio, client: httpx2.AsyncClient) -> None:
    call = simulated_twilio.rest.add(SimulatedCall(account_sid=AC, status="in-progress"))
    assert (await client.post(f"{CALLS}/{call.sid}.json", data={"Status": "completed"})).status_code == 200
    answer = await client.post(f"{CALLS}/{call.sid}.json", data={"Url": "https://example.org"})
    assert (answer.status_code, answer.json()["code"], call.status) == (400, 21220, "completed")
    unknown = await client.post(f"{CALLS}/CA{'0' * 32}.json", data={"Status": "completed"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, 20404)


async def test_a_deleted_recording_is_neither_listed_nor_served(
    simulated_twilio: SimulatedTwilio, client: httpx2.AsyncClient
) -> None:
    call = simulated_twilio.rest.add(SimulatedCall(account_sid=AC))
    call.recordings.append(SimulatedRecording(call_sid=call.sid))
    sid = call.recordings[0].sid
    simulated_twilio.media.files[sid] = MediaFile(b"RIFF")
    assert (await client.get(f"{CALLS}/{call.sid}/Recordings.json")).json()["recordings"][0]["track"] == "inbound"
    assert [(await client.delete(f"{RECORDINGS}/{sid}.json")).status_code for _ in range(2)] == [204, 404]
    assert (await client.get(f"{RECORDINGS}/{sid}.wav")).status_code == 404
    assert (await client.get(f"{RECORDINGS}.json")).json()["recordings"] == []


async def test_scripted_responses_can_still_carry_out_the_request(
    simulated_twilio: SimulatedTwilio, client: httpx2.AsyncClient
) -> None:
    simulated_twilio.rest.scripted = [
        ScriptedResponse(429, headers={"retry-after": "2"}),
        ScriptedResponse(500, cut=True, carried_out=True),
    ]
    form = {"To": "+1212", "From": "+1313"}
    assert (await client.post(f"{CALLS}.json", data=form)).headers["retry-after"] == "2"
    assert not simulated_twilio.rest.calls
    with pytest.raises(httpx2.RemoteProtocolError):
        await client.post(f"{CALLS}.json", data=form)
    assert len(simulated_twilio.rest.calls) == 1


async def test_a_silent_response_lasts_until_the_client_disconnects(
    simulated_twilio: SimulatedTwilio, client: httpx2.AsyncClient
) -> None:
    simulated_twilio.rest.scripted = [ScriptedResponse(200, silent=True)]
    with pytest.raises(httpx2.ReadTimeout):
        await client.get(f"{CALLS}.json", timeout=httpx2.Timeout(10, read=0.05))
    assert (await client.get(f"{CALLS}.json")).json()["calls"] == []


@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        (
            CallScenario(media_file=MediaFile(b"RIFF")),
            [*ANSWERED, "recording completed"],
        ),
        (CallScenario(ending="busy"), ["initiated", "ringing", "busy"]),
        (
            CallScenario(recording_status="absent"),
            [*ANSWERED, "recording absent"],
        ),
    ],
)
async def test_a_simulated_call_sends_the_callbacks_that_it_subscribed_to(
    simulated_twilio: SimulatedTwilio, client: httpx2.AsyncClient, scenario: CallScenario, expected: list[str]
) -> None:
    received: list[str] = []

    async def receive(request: Request) -> Response:
        form = await request.form()
        amd = f"AnsweredBy={form.get('AnsweredBy')}"
        recording = f"recording {form.get('RecordingStatus')}"
        received.append(str(form.get("CallStatus") or (recording if "RecordingSid" in form else amd)))
        return Response(status_code=204)

    async def on_created(call: SimulatedCall) -> None:
        deliveries = await simulate_call(simulated_twilio.rest, call, scenario, token="token", client=client)
        assert {delivery.status for delivery in deliveries} == {204}

    simulated_twilio.rest.on_created = on_created
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
        await simulated_twilio.rest.wait_for_calls()
    assert received == expected
    assert (await client.get(f"{CALLS}/{sid}.json")).json()["status"] == scenario.ending


async def test_responses_match_twilios_openapi_description(
    simulated_twilio: SimulatedTwilio, client: httpx2.AsyncClient
) -> None:
    call = simulated_twilio.rest.add(SimulatedCall(account_sid=AC))
    call.recordings.append(SimulatedRecording(call_sid=call.sid))
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
    """Replace OpenAPI 3.0's `nullable` by its equivalent in JSON Schema."""
    if schema.get("nullable") is True and isinstance(schema.get("type"), str):
        return schema | {"type": [schema["type"], "null"]}
    return schema
