"""POST /api/calls: permissions, idempotency, and the response for each outcome."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from sqlalchemy import func, select, text

from amd_service.calls import call_requests
from amd_service.database.pool import Database
from amd_service.settings import Settings
from amd_service.simulator.twilio.resources import SimulatedCall, call_resource
from amd_service.twilio.rest import RestClient
from tests.support.app import STATUS, App, make_settings, open_app
from tests.support.sids import ACCOUNT

pytestmark = pytest.mark.anyio

CALL_REQUEST = {"to": "+12125550100", "from": "+15005550006", "url": "https://example.com/twiml"}

WAITING = text(
    "select count(*) from pg_locks join pg_database on pg_database.oid = database and datname = current_database() "
    "where locktype = 'advisory' and not granted"
)


class Twilio:
    """Simulated Twilio API. Returns the items of `responses`, then accepts every call. Records the requests."""

    def __init__(self) -> None:
        self.responses: list[httpx2.Response | Exception] = []
        self.requests: list[httpx2.Request] = []

    def rest(self, settings: Settings) -> RestClient:
        return RestClient(httpx2.AsyncClient(transport=httpx2.MockTransport(self._answer)), settings)

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        response = self.responses.pop(0) if self.responses else None
        if isinstance(response, Exception):
            raise response
        return response or httpx2.Response(201, json=call_resource(SimulatedCall(account_sid=ACCOUNT)))


def refusal(status: int, code: int, message: str) -> httpx2.Response:
    return httpx2.Response(status, json={"code": code, "message": message, "status": status})


@pytest.fixture
def twilio() -> Twilio:
    return Twilio()


@pytest.fixture
async def service(database: Database, twilio: Twilio) -> AsyncIterator[App]:
    opened = open_with(database, twilio)
    yield opened
    await opened.client.aclose()


def open_with(database: Database, twilio: Twilio, **changes: Any) -> App:
    changes = {"dial_prefixes": ["+1212"], **changes}
    return open_app(database, None, rest=twilio.rest(make_settings(**changes)), **changes)


async def post(service: App, call_request: object = CALL_REQUEST, **headers: str) -> httpx2.Response:
    return await service.client.post("/api/calls", json=call_request, headers=headers)


def detail(response: httpx2.Response) -> str:
    assert response.headers["content-type"] == "application/problem+json"
    return str(response.json()["detail"])


async def test_a_placed_call_can_be_read_at_once(service: App) -> None:
    response = await post(service)
    sid = response.json()["call_sid"]
    assert response.status_code == 201
    assert response.json() == {"call_sid": sid, "call_status": "queued", "replayed": False}
    assert response.headers["location"] == f"/api/calls/{sid}"
    row = await service.client.get(response.headers["location"])
    assert (row.status_code, row.json()["analysis_state"]) == (200, "waiting")
    assert service.counted("amd_calls_started_total", outcome="placed", campaign="") == 1


@pytest.mark.parametrize("again", ["one", '"one"'], ids=["as before", "as the draft writes it"])
async def test_a_repeated_key_gets_the_same_call(service: App, twilio: Twilio, again: str) -> None:
    first = await post(service, **{"Idempotency-Key": "one"})
    second = await post(service, **{"Idempotency-Key": again})
    assert (second.status_code, second.json()) == (200, first.json() | {"replayed": True})
    assert second.headers["location"] == first.headers["location"]
    assert len(twilio.requests) == 1


async def test_a_repeated_key_with_a_different_call_request_is_refused(service: App) -> None:
    await post(service, **{"Idempotency-Key": "one"})
    response = await post(service, CALL_REQUEST | {"ring_s": 10}, **{"Idempotency-Key": "one"})
    assert (response.status_code, "new key" in detail(response)) == (422, True)


@pytest.mark.parametrize("key", ["", '""', "x" * 256, "na\xefve"])
async def test_an_invalid_key_is_refused(service: App, key: str) -> None:
    response = await service.client.post(
        "/api/calls", json=CALL_REQUEST, headers=[(b"idempotency-key", key.encode("latin-1"))]
    )
    assert (response.status_code, "Idempotency-Key" in detail(response)) == (400, True)


async def test_two_keys_are_refused(service: App, twilio: Twilio) -> None:
    headers = [(b"idempotency-key", b"one"), (b"idempotency-key", b"two")]
    response = await service.client.post("/api/calls", json=CALL_REQUEST, headers=headers)
    assert (response.status_code, "send one Idempotency-Key" in detail(response), twilio.requests) == (400, True, [])


async def test_without_api_keys_no_call_is_placed_even_for_local_requests(database: Database, twilio: Twilio) -> None:
    service = open_with(database, twilio, api_keys=[], public_url="http://127.0.0.1:8080")
    assert (await service.client.get("/model-info")).status_code == 200
    response = await post(service)
    assert (response.status_code, "AMD_API_KEYS" in detail(response)) == (403, True)
    assert twilio.requests == []


async def test_a_wrong_api_key_places_no_call(service: App, twilio: Twilio) -> None:
    assert (await post(service, authorization="Bearer guessed")).status_code == 401
    assert twilio.requests == []


@pytest.mark.parametrize(
    ("call_request", "messages"),
    [
        (CALL_REQUEST | {"form": "+1", "twim": ""}, ["`form` is not a field", "`twim` is not a field"]),
        ({"to": "+12125550100"}, ["`from` is missing"]),
        (CALL_REQUEST | {"to": "2125550100"}, ["`to` must be a number in E.164 format"]),
        (CALL_REQUEST | {"twiml": "<Response/>"}, ["not both"]),
        (CALL_REQUEST | {"twilio_amd": "yes"}, ["`twilio_amd` must be a valid boolean"]),
        (CALL_REQUEST | {"ring_s": 4}, ["`ring_s` must be 5 to 600 seconds"]),
        (CALL_REQUEST | {"track": "outbound"}, ["`track` must be inbound or both"]),
        (CALL_REQUEST | {"account_sid": "AC" + "9" * 32}, ["is not configured"]),
        ([], ["the call request must be an object"]),
    ],
)
async def test_an_invalid_call_request_gets_422_with_each_fault(
    service: App, twilio: Twilio, call_request: object, messages: list[str]
) -> None:
    response = await post(service, call_request)
    assert response.status_code == 422
    assert [word for word in messages if word not in detail(response)] == []
    assert twilio.requests == []


async def test_an_invalid_call_request_is_counted_as_refused(service: App) -> None:
    await post(service, CALL_REQUEST | {"ring_s": 4})
    assert service.counted("amd_calls_started_total", outcome="refused", campaign="") == 1


async def test_an_invalid_call_request_gets_422_even_where_no_call_may_be_placed(database: Database) -> None:
    closed = open_app(database, dial_prefixes=[])
    assert (await post(closed, CALL_REQUEST | {"ring_s": 4})).status_code == 422
    assert (await post(closed, CALL_REQUEST)).status_code == 403
    await closed.client.aclose()


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"\xff", "application/json", 400),
        (json.dumps(CALL_REQUEST).encode(), "text/plain", 415),
        (b" " * 70_000, "application/json", 413),
    ],
)
async def test_a_body_that_is_not_a_call_request_is_refused(
    service: App, body: bytes, content_type: str, status: int
) -> None:
    response = await service.client.post("/api/calls", content=body, headers={"content-type": content_type})
    assert response.status_code == status, detail(response)


async def test_a_number_outside_the_dial_prefixes_gets_403_with_the_setting(service: App, twilio: Twilio) -> None:
    response = await post(service, CALL_REQUEST | {"to": "+19005550100"})
    assert (response.status_code, "AMD_DIAL_PREFIXES" in detail(response)) == (403, True)
    assert twilio.requests == []


async def test_too_many_calls_get_429_with_retry_after(database: Database, twilio: Twilio) -> None:
    service = open_with(database, twilio, dial_per_minute=1)
    assert (await post(service)).status_code == 201
    response = await post(service)
    assert (response.status_code, "AMD_DIAL_PER_MINUTE" in detail(response)) == (429, True)
    assert 50 <= int(response.headers["retry-after"]) <= 60


@pytest.mark.parametrize(
    ("refusal_response", "status"),
    [(refusal(400, 21215, "Geo permission"), 422), (refusal(401, 20003, "Authenticate"), 502)],
    ids=["the call request", "the credentials"],
)
async def test_an_error_of_twilio_is_returned_with_its_message_and_code(
    service: App, twilio: Twilio, refusal_response: httpx2.Response, status: int
) -> None:
    twilio.responses.append(refusal_response)
    response = await post(service)
    assert response.status_code == status
    assert refusal_response.json()["message"] in detail(response)
    assert str(refusal_response.json()["code"]) in detail(response)


async def test_a_429_from_twilio_becomes_503_and_the_key_can_be_used_again(service: App, twilio: Twilio) -> None:
    twilio.responses.append(httpx2.Response(429, headers={"retry-after": "7"}))
    busy = await post(service, **{"Idempotency-Key": "one"})
    assert (busy.status_code, busy.headers["retry-after"]) == (503, "7")
    assert (await post(service, **{"Idempotency-Key": "one"})).status_code == 201


async def test_a_request_whose_response_was_lost_is_never_repeated(service: App, twilio: Twilio) -> None:
    twilio.responses.append(httpx2.ReadError("reset"))
    lost = await post(service, **{"Idempotency-Key": "one"})
    again = await post(service, **{"Idempotency-Key": "one"})
    assert (lost.status_code, again.status_code) == (504, 409)
    assert "may have been placed" in detail(lost)
    assert "may have been placed" in detail(again)
    assert len(twilio.requests) == 1


async def test_without_a_database_no_call_is_placed(closed_database: Database, twilio: Twilio) -> None:
    response = await post(open_with(closed_database, twilio))
    assert (response.status_code, "retry-after" in response.headers) == (503, True)
    assert twilio.requests == []


async def test_waiting_call_requests_leave_database_connections_for_the_webhooks(
    database_url: str, twilio: Twilio
) -> None:
    database, counting = Database(database_url, pool_size=3), Database(database_url)
    service = open_with(database, twilio)
    async with counting.transaction() as session:
        # Hold the lock that a process takes before it counts the calls of the last minute.
        await session.execute(select(func.pg_advisory_xact_lock(call_requests.RESERVATION_LOCK)))
        requests = [asyncio.create_task(post(service)) for _ in range(6)]
        while await session.scalar(WAITING) < 2:  # noqa: ASYNC110 - the change comes from Postgres
            await asyncio.sleep(0.01)
        assert (await service.callback("/twilio/status", STATUS)).status_code == 204
        assert await session.scalar(WAITING) == 2
    assert [(await request).status_code for request in requests] == [201] * 6
    await database.dispose()
    await counting.dispose()
