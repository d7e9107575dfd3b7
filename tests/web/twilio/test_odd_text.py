"""Text that only informs never loses a callback: characters that Postgres cannot store, and invalid values."""

import hmac
from base64 import b64encode
from urllib.parse import unquote_to_bytes, urlencode

import httpx2
import pytest
from sqlalchemy import select

from amd_service.calls.tables import Callback
from amd_service.database.pool import Database
from amd_service.simulator.live_calls import read_stream
from tests.support.app import PUBLIC_URL, RECORDED, STATUS, TOKEN, App, Pairs, open_app
from tests.support.media_streams import KEY, SIGNED_URL
from tests.support.sids import ACCOUNT, CALL

pytestmark = pytest.mark.anyio

AMD = [("AccountSid", ACCOUNT), ("CallSid", CALL), ("AnsweredBy", "human")]
ROUTES = {"/twilio/status": STATUS, "/twilio/recording": RECORDED, "/twilio/amd": AMD}
SENT = {
    "WIRELESS%00CALLER": "WIRELESS\ufffdCALLER",
    "%00": "\ufffd",
    "Jos%E9": "Jos\ufffd",
    "%ED%A0%BD%ED%B8%80": "\ufffd" * 6,
    "%ED%A0%BD": "\ufffd" * 3,
    "%FF%FE%C0%80": "\ufffd" * 4,
    "100%": "100%",
    "%zz+%u00e9": "%zz %u00e9",
    "x" * 5000: "x" * 5000,
    "%F0%9F%93%9E": "\U0001f4de",
}


async def deliver(service: App, path: str, body: str) -> httpx2.Response:
    """POST a body that is signed over the bytes of its names and values."""
    pairs = {
        tuple(unquote_to_bytes(part.replace("+", " ")) for part in field.split("=", 1)) for field in body.split("&")
    }
    text = (PUBLIC_URL + path).encode() + b"".join(name + value for name, value in sorted(pairs))
    headers = {
        "x-twilio-signature": b64encode(hmac.digest(TOKEN.encode(), text, "sha1")).decode(),
        "content-type": "application/x-www-form-urlencoded",
    }
    return await service.client.post(path, content=body, headers=headers)


async def _kept(service: App) -> Callback:
    async with service.runtime.database.transaction() as session:
        return (await session.scalars(select(Callback))).one()


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("sent", SENT, ids=range(len(SENT)))
async def test_a_callback_with_text_that_cannot_be_stored_is_stored_with_replacements(
    service: App, path: str, sent: str
) -> None:
    body = f"{urlencode(ROUTES[path])}&CallerName={sent}"
    for _ in range(2):
        assert (await deliver(service, path, body)).status_code == 204
    kept = await _kept(service)
    assert kept.parameters == [*map(list, ROUTES[path]), ["CallerName", SENT[sent]]]


@pytest.mark.parametrize("name", [name for name, _ in STATUS if not name.endswith("Sid")])
async def test_any_field_may_hold_text_that_cannot_be_stored(service: App, name: str) -> None:
    body = urlencode([pair for pair in STATUS if pair[0] != name])
    assert (await deliver(service, "/twilio/status", f"{body}&{name}=a%00b%E9%ED%A0%BD")).status_code == 204
    assert (await _kept(service)).parameters[-1] == [name, "a\ufffdb" + "\ufffd" * 4]  # type: ignore[index]
    assert (await service.client.get(f"/api/calls/{CALL}")).status_code == 200


@pytest.mark.parametrize("mode", ["drop", "hash"])
async def test_redacted_numbers_may_hold_text_that_cannot_be_stored(database: Database, mode: str) -> None:
    service = open_app(database, phone_numbers=mode, phone_number_key="k" * 32)
    body = urlencode([pair for pair in STATUS if pair[0] != "From"]) + "&From=%E9%00%ED%A0%BD&Other=%ED%A0%BD"
    assert (await deliver(service, "/twilio/status", body)).status_code == 204
    await service.client.aclose()


@pytest.mark.parametrize("sent", SENT, ids=range(len(SENT)))
async def test_the_twiml_of_a_stream_does_not_depend_on_text_that_cannot_be_stored(
    closed_database: Database, sent: str
) -> None:
    service = open_app(closed_database, live=True)
    posted = await deliver(service, "/twilio/stream.xml", f"{urlencode(STATUS)}&CallerName={sent}")
    assert read_stream(posted.text) == (SIGNED_URL, {"key": KEY})
    if "%zz" not in sent and not sent.endswith("%"):
        path = f"/twilio/stream.xml?{urlencode(STATUS)}&CallerName={sent}"
        digest = hmac.digest(TOKEN.encode(), (PUBLIC_URL + path).encode(), "sha1")
        got = await service.client.get(path, headers={"x-twilio-signature": b64encode(digest).decode()})
        assert read_stream(got.text) == (SIGNED_URL, {"key": KEY})
    await service.client.aclose()


UNREADABLE = ["third", "-1", "1e3", "99999999999999999999", "NaN", "\u0663", "3\n4", "2026-09-02T10:15:30Z", "x" * 3000]
OPTIONAL = {
    "/twilio/status": ("SequenceNumber", "Timestamp", "CallDuration", "Duration", "SipResponseCode", "ErrorCode"),
    "/twilio/recording": ("RecordingDuration", "RecordingChannels", "RecordingStartTime", "ErrorCode"),
    "/twilio/amd": ("MachineDetectionDuration",),
}


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("value", UNREADABLE, ids=range(len(UNREADABLE)))
async def test_an_invalid_optional_value_is_ignored_logged_and_kept_in_the_parameters(
    service: App, path: str, value: str, capfd: pytest.CaptureFixture[str]
) -> None:
    known: Pairs = [pair for pair in ROUTES[path] if pair[0] not in OPTIONAL[path]]
    sent = [*known, *((name, value) for name in OPTIONAL[path])]
    assert (await service.callback(path, sent)).status_code == 204
    kept = await _kept(service)
    assert kept.parameters == [list(pair) for pair in sent]
    assert not kept.facts.keys() & {
        "sequence_number",
        "timestamp",
        "duration_s",
        "billed_min",
        "channels",
        "error_code",
    }
    logged = "".join(capfd.readouterr())
    assert "invalid callback fields, ignored" in logged
    assert all(name in logged for name in OPTIONAL[path])


@pytest.mark.parametrize("path", ROUTES)
async def test_repeated_fields_are_stored_and_the_first_value_is_used(service: App, path: str) -> None:
    sent = [
        *ROUTES[path],
        *ROUTES[path],
        ("CallStatus", "failed"),
        ("RecordingStatus", "failed"),
        ("AnsweredBy", "fax"),
    ]
    assert (await service.callback(path, sent)).status_code == 204
    kept = await _kept(service)
    assert kept.parameters == [list(pair) for pair in sent]
    first = {"/twilio/status": "call_status", "/twilio/recording": "recording_status", "/twilio/amd": "answered_by"}
    assert kept.facts[first[path]] == ("human" if path == "/twilio/amd" else "completed")
