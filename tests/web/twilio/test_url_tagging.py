"""Campaign and tags in the URLs of callbacks."""

from collections.abc import AsyncIterator
from urllib.parse import urlencode

import pytest
from twilio.request_validator import RequestValidator

from amd_service.database.pool import Database
from amd_service.simulator.live_calls import read_stream
from amd_service.simulator.twilio.signed_callbacks import sign
from tests.support.app import PUBLIC_URL, RECORDED, STATUS, TOKEN, App, Pairs, open_app
from tests.support.media_streams import KEY, SIGNED_URL
from tests.support.sids import ACCOUNT, CALL

pytestmark = pytest.mark.anyio

AMD = [("AccountSid", ACCOUNT), ("CallSid", CALL), ("AnsweredBy", "human")]
QUERY = "?campaign=spring&tag=list-b&tag=vip"


@pytest.fixture
async def open_live(database: Database) -> AsyncIterator[App]:
    service = open_app(database, live=True)
    yield service
    await service.client.aclose()


async def tagging_of(service: App) -> tuple[object, object]:
    call = (await service.client.get(f"/api/calls/{CALL}")).json()
    return call["campaign"], call["tags"]


@pytest.mark.parametrize(
    ("path", "pairs"), [("/twilio/status", STATUS), ("/twilio/recording", RECORDED), ("/twilio/amd", AMD)]
)
async def test_every_callback_url_can_name_campaign_and_tags(service: App, path: str, pairs: Pairs) -> None:
    assert (await service.callback(path + QUERY, pairs)).status_code == 204
    assert await tagging_of(service) == ("spring", ["list-b", "vip"])


async def test_a_call_without_campaign_and_tags_has_none(service: App) -> None:
    await service.callback("/twilio/status", STATUS)
    assert await tagging_of(service) == (None, [])


async def test_the_query_is_signed(service: App) -> None:
    signed = sign(f"{PUBLIC_URL}/twilio/status{QUERY}", STATUS, TOKEN)
    for query in ("", "?campaign=autumn&tag=list-b&tag=vip", QUERY + "&tag=x", "?tag=list-b&tag=vip&campaign=spring"):
        response = await service.client.post("/twilio/status" + query, content=urlencode(STATUS), headers=signed)
        assert response.status_code == 403
    assert (await service.rows())["callback"] == 0


@pytest.mark.parametrize(
    ("public_url", "signed_base"),
    [
        ("https://example.com", "https://example.com"),
        ("https://example.com:8443", "https://example.com"),  # Twilio drops the port of an https URL
        ("http://example.com:8080", "http://example.com:8080"),
        ("https://example.com/amd", "https://example.com/amd"),  # the proxy strips the prefix
    ],
)
async def test_a_query_is_verified_behind_every_public_url(
    database: Database, public_url: str, signed_base: str
) -> None:
    service = open_app(database, public_url=public_url)
    signed = sign(f"{signed_base}/twilio/status{QUERY}", STATUS, TOKEN)
    response = await service.client.post("/twilio/status" + QUERY, content=urlencode(STATUS), headers=signed)
    assert response.status_code == 204
    assert await tagging_of(service) == ("spring", ["list-b", "vip"])
    await service.client.aclose()


@pytest.mark.parametrize(
    ("query", "tagging"),
    [
        ("?campaign=Spring%20sale&tag=vip", (None, ["vip"])),
        ("?campaign=%00&tag=vip", (None, ["vip"])),
        ("?campaign=spring&tag=" + "x" * 65, ("spring", [])),
        ("?campaign=spring&" + "&".join(f"tag=t{number}" for number in range(11)), ("spring", [
            "t0", "t1", "t10", "t2", "t3", "t4", "t5", "t6", "t7", "t8",
        ])),
        ("?" + "&".join(f"x{number}=1" for number in range(1001)), (None, [])),
    ],
    ids=["a space", "NUL", "too long", "too many", "too many parameters"],
)  # fmt: skip
async def test_an_invalid_value_is_ignored_and_the_callback_is_stored(
    service: App, query: str, tagging: tuple[object, object], capfd: pytest.CaptureFixture[str]
) -> None:
    assert (await service.callback("/twilio/status" + query, STATUS)).status_code == 204
    assert await tagging_of(service) == tagging
    assert service.counted("amd_invalid_tags_total", route="status") == 1
    logged = "".join(capfd.readouterr())
    assert "invalid campaign or tags in a URL, ignored" in logged
    assert "Spring" not in logged


async def test_a_repeated_callback_with_campaign_is_stored_once(service: App) -> None:
    for _ in range(2):
        assert (await service.callback("/twilio/status" + QUERY, STATUS)).status_code == 204
    assert (await service.rows())["callback"] == 1


async def test_the_stream_twiml_passes_campaign_and_tags_on(open_live: App) -> None:
    expected = (SIGNED_URL, {"key": KEY, "campaign": "spring", "tag1": "list-b", "tag2": "vip"})
    response = await open_live.callback("/twilio/stream.xml" + QUERY, STATUS)
    assert read_stream(response.text) == expected
    path = f"/twilio/stream.xml{QUERY}&{urlencode(STATUS)}"
    signed = RequestValidator(TOKEN).compute_signature(PUBLIC_URL + path, {})
    response = await open_live.client.get(path, headers={"X-Twilio-Signature": signed})
    assert read_stream(response.text) == expected


async def test_the_stream_twiml_is_served_without_an_invalid_campaign(open_live: App) -> None:
    response = await open_live.callback("/twilio/stream.xml?campaign=a+b", STATUS)
    assert read_stream(response.text) == (SIGNED_URL, {"key": KEY})
    assert open_live.counted("amd_invalid_tags_total", route="stream") == 1
