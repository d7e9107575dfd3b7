"""Each idempotency key places at most one call, and no further call while the outcome is unknown."""

import asyncio
from dataclasses import replace

import httpx2
import pytest
from pydantic import SecretStr

from amd_service.calls.tables import CallRequestRow, RequestOutcome
from amd_service.database.pool import Database
from amd_service.errors import (
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    OutcomeUnknown,
    RequestRefused,
    TwilioUnavailable,
)
from amd_service.operations.place_call import Started
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio
from amd_service.simulator.twilio.media_host import ScriptedResponse
from amd_service.twilio.call_request import CallRequest
from tests.support.call_placing import AC, REQUEST, Phone, make_phone

pytestmark = pytest.mark.anyio


async def test_the_same_key_places_one_call_and_returns_it_again(phone: Phone) -> None:
    first = await phone.start("key")
    assert await phone.another().start("key") == Started(first.call_sid, "queued", replayed=True)
    assert len(phone.simulated_twilio.rest.calls) == 1


async def test_without_a_key_every_request_places_a_call(phone: Phone) -> None:
    assert (await phone.start()).call_sid != (await phone.start()).call_sid


async def test_twenty_concurrent_requests_with_one_key_place_one_call(phone: Phone) -> None:
    other = phone.another()
    answers = await asyncio.gather(*(process.start("key") for process in [phone, other] * 10), return_exceptions=True)
    assert len(phone.simulated_twilio.rest.calls) == 1
    assert sum(isinstance(answer, Started) and not answer.replayed for answer in answers) == 1
    assert all(isinstance(answer, Started | IdempotencyKeyInUse) for answer in answers)


@pytest.mark.parametrize(
    "other",
    [
        REQUEST.model_copy(update={"to": "+12125550199"}),
        REQUEST.model_copy(update={"track": "both"}),
        REQUEST.model_copy(update={"ring_s": 30}),
        REQUEST.model_copy(update={"url": None, "twiml": "<Response/>"}),
        REQUEST.model_copy(update={"campaign": "spring"}),
        REQUEST.model_copy(update={"tags": ("vip",)}),
    ],
    ids=["to", "track", "ring_s", "twiml", "campaign", "tags"],
)
async def test_the_same_key_with_another_request_is_refused(phone: Phone, other: CallRequest) -> None:
    await phone.start("key")
    with pytest.raises(IdempotencyKeyReused, match="use a new key"):
        await phone.start("key", other)
    assert len(phone.simulated_twilio.rest.calls) == 1


async def test_equal_requests_have_equal_fingerprints_only_under_one_secret(phone: Phone) -> None:
    """A reader of the table must not find the phone number by hashing all numbers."""
    await phone.start("one")
    await phone.start("two")
    one, two = await phone.requests()
    assert one.fingerprint == two.fingerprint
    with pytest.raises(IdempotencyKeyReused):
        await phone.with_settings(twilio_auth_token=[SecretStr("b" * 32)]).start("one")


async def test_the_fingerprint_of_a_request_without_campaign_does_not_change_with_an_update(phone: Phone) -> None:
    """A client may repeat a request that a version without campaigns has stored."""
    await phone.start("key")
    (request,) = await phone.requests()
    assert request.fingerprint == "aaaf828e5b465a79dadf98081948b24c1ef1ff241452c8d6a7b0a6646271f0b3"


@pytest.mark.parametrize(
    ("outcome", "said"),
    [(RequestOutcome.PENDING, "is running"), (RequestOutcome.UNKNOWN, "may have been placed")],
)
async def test_an_unknown_outcome_is_reported_before_requests_are_compared(
    phone: Phone, outcome: RequestOutcome, said: str
) -> None:
    """After the message "use a new key" the caller would use a new key, and the telephone might ring twice."""
    async with phone.database.transaction() as session:
        session.add(CallRequestRow(key="key", fingerprint="under a secret of before", account_sid=AC, outcome=outcome))
    with pytest.raises(IdempotencyKeyInUse, match=said):
        await phone.start("key")


async def test_a_reused_key_under_a_rotated_secret_names_the_earlier_call(phone: Phone) -> None:
    placed = await phone.start("key")
    rotated = phone.with_settings(twilio_auth_token=[SecretStr("b" * 32)])
    with pytest.raises(IdempotencyKeyReused, match=f"{placed.call_sid}.*the account's secret has changed"):
        await rotated.start("key")


async def test_requests_are_compared_without_the_default_twiml(
    simulated_twilio: SimulatedTwilio, client: httpx2.AsyncClient, database: Database
) -> None:
    request = REQUEST.model_copy(update={"url": None})
    before = make_phone(simulated_twilio, client, database, live=True)
    after = make_phone(simulated_twilio, client, database, live=True, public_url="https://moved.example.com")
    placed = await before.start("key", request)
    assert await after.start("key", request) == replace(placed, replayed=True)


async def test_a_refusal_by_twilio_releases_the_key(phone: Phone) -> None:
    phone.simulated_twilio.rest.scripted.append(ScriptedResponse(400, b'{"code": 21215, "message": "Geo permission"}'))
    with pytest.raises(RequestRefused, match=r"Geo permission \(Twilio's error 21215\)") as refused:
        await phone.start("key")
    assert refused.value.code == 21215
    assert not (await phone.start("key")).replayed


async def test_a_429_releases_the_key(phone: Phone) -> None:
    phone.simulated_twilio.rest.scripted.append(ScriptedResponse(429, headers={"retry-after": "7"}))
    with pytest.raises(TwilioUnavailable) as busy:
        await phone.start("key")
    assert busy.value.retry_after_s == 7
    assert await phone.requests() == []


@pytest.mark.parametrize(
    "answer",
    [
        ScriptedResponse(503, carried_out=True),
        ScriptedResponse(201, b"{", cut=True, carried_out=True),
        ScriptedResponse(201, b"no JSON", carried_out=True),
        ScriptedResponse(201, b"{}", carried_out=True),
    ],
    ids=["5xx", "cut", "unreadable", "empty"],
)
async def test_a_call_whose_response_was_lost_is_never_placed_again(phone: Phone, answer: ScriptedResponse) -> None:
    phone.simulated_twilio.rest.scripted.append(answer)
    with pytest.raises(OutcomeUnknown, match="may have been placed"):
        await phone.start("key")
    with pytest.raises(IdempotencyKeyInUse, match="reconcile"):
        await phone.start("key")
    assert len(phone.simulated_twilio.rest.calls) == 1
