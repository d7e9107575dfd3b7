"""GET and POST /twilio/stream.xml."""

from collections.abc import AsyncIterator
from urllib.parse import urlencode

import pytest
from pydantic import SecretStr
from twilio.request_validator import RequestValidator

from amd_service.database.pool import Database
from amd_service.simulator.live_calls import read_stream
from tests.support.app import PUBLIC_URL, STATUS, TOKEN, App, open_app
from tests.support.media_streams import KEY, SIGNED_URL

pytestmark = pytest.mark.anyio


@pytest.fixture
async def open_live(closed_database: Database) -> AsyncIterator[App]:
    service = open_app(closed_database, live=True, live_next_url="https://example.com/next")
    yield service
    await service.client.aclose()


async def test_a_signed_post_gets_the_stream_twiml(open_live: App) -> None:
    response = await open_live.callback("/twilio/stream.xml", STATUS)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/xml; charset=utf-8"
    assert read_stream(response.text) == (SIGNED_URL, {"key": KEY})
    assert "<Redirect>https://example.com/next</Redirect>" in response.text
    assert (await open_live.callback("/twilio/stream.xml", STATUS, token="wrong")).status_code == 403
    assert open_live.counted("amd_callbacks_total", route="stream", outcome="answered") == 1
    assert open_live.counted("amd_callbacks_total", route="stream", outcome="refused_403") == 1


async def test_a_signed_get_gets_the_stream_twiml(open_live: App) -> None:
    path = "/twilio/stream.xml?" + urlencode(STATUS)
    signed = RequestValidator(TOKEN).compute_signature(PUBLIC_URL + path, {})
    response = await open_live.client.get(path, headers={"X-Twilio-Signature": signed})
    assert (response.status_code, read_stream(response.text)) == (200, (SIGNED_URL, {"key": KEY}))
    assert (await open_live.client.get(path)).status_code == 403
    assert (await open_live.client.get(path + "&x=1", headers={"X-Twilio-Signature": signed})).status_code == 403


async def test_a_request_without_a_valid_call_sid_gets_400(open_live: App) -> None:
    without = [pair for pair in STATUS if pair[0] != "CallSid"]
    assert (await open_live.callback("/twilio/stream.xml", without)).status_code == 400
    assert (await open_live.callback("/twilio/stream.xml", [*without, ("CallSid", "CA1")])).status_code == 400


async def test_while_live_is_off_the_twiml_continues_the_call_without_a_stream(closed_database: Database) -> None:
    service = open_app(closed_database, live=False, live_next_url="https://example.com/next")
    response = await service.callback("/twilio/stream.xml", STATUS)
    assert response.status_code == 200
    assert response.text.endswith("<Response><Redirect>https://example.com/next</Redirect></Response>")
    assert (await service.callback("/twilio/stream.xml", STATUS, token="wrong")).status_code == 403
    await service.client.aclose()


async def test_during_a_token_rotation_the_stream_key_uses_the_oldest_token(closed_database: Database) -> None:
    tokens = [SecretStr("the-next-one"), SecretStr(TOKEN)]
    rotating = open_app(closed_database, live=True, twilio_auth_token=tokens)
    response = await rotating.callback("/twilio/stream.xml", STATUS)
    assert read_stream(response.text) == (SIGNED_URL, {"key": KEY})
    await rotating.client.aclose()
