"""POST /api/calls: who may have a call placed, and what each outcome is answered with."""

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

ORDER = {"to": "+12125550100", "from": "+15005550006", "url": "https://example.com/twiml"}

WAITING = text(
    "select count(*) from pg_locks join pg_database on pg_database.oid = database and datname = current_database() "
    "where locktype = 'advisory' and not granted"
)


class Twilio:
    """Answers as it was told to, else places the call; remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: list[httpx2.Response | Exception] = []
        self.asked: list[httpx2.Request] = []

    def rest(self, settings: Settings) -> RestClient:
        return RestClient(httpx2.AsyncClient(transport=httpx2.MockTransport(self._answer)), settings)

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer or httpx2.Response(201, json=call_resource(SimulatedCall(account_sid=ACCOUNT)))


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


async def post(service: App, order: object = ORDER, **headers: str) -> httpx2.Response:
    return await service.client.post("/api/calls", json=order, headers=headers)


def detail(answer: httpx2.Response) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    return str(answer.json()["detail"])


async def test_a_call_is_placed_and_can_be_followed_at_once(service: App) -> None:
    answer = await post(service)
    sid = answer.json()["call_sid"]
    assert answer.status_code == 201
    assert answer.json() == {"call_sid": sid, "call_status": "queued", "replayed": False}
    assert answer.headers["location"] == f"/api/calls/{sid}"
    row = await service.client.get(answer.headers["location"])
    assert (row.status_code, row.json()["analysis_state"]) == (200, "waiting")
    assert service.counted("amd_calls_started_total", outcome="placed") == 1


@pytest.mark.parametrize("again", ["one", '"one"'], ids=["as before", "as the draft writes it"])
async def test_the_same_key_is_answered_with_the_same_call(service: App, twilio: Twilio, again: str) -> None:
    first = await post(service, **{"Idempotency-Key": "one"})
    second = await post(service, **{"Idempotency-Key": again})
    assert (second.status_code, second.json()) == (200, first.json() | {"replayed": True})
    assert second.headers["location"] == first.headers["location"]
    assert len(twilio.asked) == 1


async def test_the_same_key_with_another_order_is_refused(service: App) -> None:
    await post(service, **{"Idempotency-Key": "one"})
    answer = await post(service, ORDER | {"ring_s": 10}, **{"Idempotency-Key": "one"})
    assert (answer.status_code, "new key" in detail(answer)) == (422, True)


@pytest.mark.parametrize("key", ["", '""', "x" * 256, "na\xefve"])
async def test_a_key_that_is_none_is_refused(service: App, key: str) -> None:
    answer = await service.client.post("/api/calls", json=ORDER, headers=[(b"idempotency-key", key.encode("latin-1"))])
    assert (answer.status_code, "Idempotency-Key" in detail(answer)) == (400, True)


async def test_two_keys_are_refused(service: App, twilio: Twilio) -> None:
    headers = [(b"idempotency-key", b"one"), (b"idempotency-key", b"two")]
    answer = await service.client.post("/api/calls", json=ORDER, headers=headers)
    assert (answer.status_code, "send one Idempotency-Key" in detail(answer), twilio.asked) == (400, True, [])


async def test_without_keys_no_call_is_placed_even_for_this_machine(database: Database, twilio: Twilio) -> None:
    service = open_with(database, twilio, api_keys=[], public_url="http://127.0.0.1:8080")
    assert (await service.client.get("/model-info")).status_code == 200
    answer = await post(service)
    assert (answer.status_code, "AMD_API_KEYS" in detail(answer)) == (403, True)
    assert twilio.asked == []


async def test_a_wrong_key_places_no_call(service: App, twilio: Twilio) -> None:
    assert (await post(service, authorization="Bearer guessed")).status_code == 401
    assert twilio.asked == []


@pytest.mark.parametrize(
    ("order", "says"),
    [
        (ORDER | {"form": "+1", "twim": ""}, ["`form` is not a field", "`twim` is not a field"]),
        ({"to": "+12125550100"}, ["`from` is missing"]),
        (ORDER | {"to": "2125550100"}, ["`to` is a number in E.164 format"]),
        (ORDER | {"twiml": "<Response/>"}, ["not both"]),
        (ORDER | {"twilio_amd": "yes"}, ["`twilio_amd` must be a valid boolean"]),
        (ORDER | {"ring_s": 4}, ["`ring_s` is 5 to 600 seconds"]),
        (ORDER | {"track": "outbound"}, ["`track` is inbound or both"]),
        (ORDER | {"account_sid": "AC" + "9" * 32}, ["is not configured"]),
        ([], ["the call request must be an object"]),
    ],
)
async def test_an_order_that_is_wrong_is_told_what_is(
    service: App, twilio: Twilio, order: object, says: list[str]
) -> None:
    answer = await post(service, order)
    assert answer.status_code == 422
    assert [word for word in says if word not in detail(answer)] == []
    assert twilio.asked == []


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"\xff", "application/json", 400),
        (json.dumps(ORDER).encode(), "text/plain", 415),
        (b" " * 70_000, "application/json", 413),
    ],
)
async def test_a_body_that_is_no_order_is_refused(service: App, body: bytes, content_type: str, status: int) -> None:
    answer = await service.client.post("/api/calls", content=body, headers={"content-type": content_type})
    assert answer.status_code == status, detail(answer)


async def test_elsewhere_is_forbidden_by_the_settings_name(service: App, twilio: Twilio) -> None:
    answer = await post(service, ORDER | {"to": "+19005550100"})
    assert (answer.status_code, "AMD_DIAL_PREFIXES" in detail(answer)) == (403, True)
    assert twilio.asked == []


async def test_too_many_calls_are_told_for_how_long_to_wait(database: Database, twilio: Twilio) -> None:
    service = open_with(database, twilio, dial_per_minute=1)
    assert (await post(service)).status_code == 201
    answer = await post(service)
    assert (answer.status_code, "AMD_DIAL_PER_MINUTE" in detail(answer)) == (429, True)
    assert 50 <= int(answer.headers["retry-after"]) <= 60


@pytest.mark.parametrize(
    ("said", "status"),
    [(refusal(400, 21215, "Geo permission"), 422), (refusal(401, 20003, "Authenticate"), 502)],
    ids=["the order", "the credentials"],
)
async def test_what_twilio_refuses_is_told_with_its_words_and_code(
    service: App, twilio: Twilio, said: httpx2.Response, status: int
) -> None:
    twilio.answers.append(said)
    answer = await post(service)
    assert answer.status_code == status
    assert said.json()["message"] in detail(answer)
    assert str(said.json()["code"]) in detail(answer)


async def test_a_busy_twilio_asks_to_come_back_and_the_key_may(service: App, twilio: Twilio) -> None:
    twilio.answers.append(httpx2.Response(429, headers={"retry-after": "7"}))
    busy = await post(service, **{"Idempotency-Key": "one"})
    assert (busy.status_code, busy.headers["retry-after"]) == (503, "7")
    assert (await post(service, **{"Idempotency-Key": "one"})).status_code == 201


async def test_a_lost_answer_is_never_asked_for_again(service: App, twilio: Twilio) -> None:
    twilio.answers.append(httpx2.ReadError("reset"))
    lost = await post(service, **{"Idempotency-Key": "one"})
    again = await post(service, **{"Idempotency-Key": "one"})
    assert (lost.status_code, again.status_code) == (504, 409)
    assert "may have been placed" in detail(lost)
    assert "may have been placed" in detail(again)
    assert len(twilio.asked) == 1


async def test_without_a_database_no_call_is_placed(closed_database: Database, twilio: Twilio) -> None:
    answer = await post(open_with(closed_database, twilio))
    assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
    assert twilio.asked == []


async def test_orders_that_wait_leave_the_database_to_the_webhooks(database_url: str, twilio: Twilio) -> None:
    database, counting = Database(database_url, pool_size=3), Database(database_url)
    service = open_with(database, twilio)
    async with counting.transaction() as session:
        # Somebody counts the calls of the last minute, which is done by one at a time, and does not come to an end.
        await session.execute(select(func.pg_advisory_xact_lock(call_requests.RESERVATION_LOCK)))
        orders = [asyncio.create_task(post(service)) for _ in range(6)]
        while await session.scalar(WAITING) < 2:  # noqa: ASYNC110 - the change comes from Postgres
            await asyncio.sleep(0.01)
        assert (await service.callback("/twilio/status", STATUS)).status_code == 204
        assert await session.scalar(WAITING) == 2
    assert [(await order).status_code for order in orders] == [201] * 6
    await database.dispose()
    await counting.dispose()
