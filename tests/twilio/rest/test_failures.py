"""What may have happened when Twilio did not answer as it should."""

import asyncio
import socket
from time import perf_counter

import pytest

from amd_service.errors import CredentialsRefused, MalformedCallback, OutcomeUnknown, TooManyRequests, TwilioUnavailable
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio
from amd_service.simulator.twilio.media_host import ScriptedResponse
from amd_service.simulator.twilio.resources import SimulatedCall
from amd_service.telemetry import Metrics
from amd_service.twilio.recordings import http_client
from amd_service.twilio.rest import RestClient
from tests.support.rest import AC, ACCOUNT, CA, CHANGES, EVERYTHING, ORDER, listed_calls, settings

pytestmark = pytest.mark.anyio


async def test_what_cannot_be_read_does_not_end_a_list(simulated_twilio: SimulatedTwilio) -> None:
    simulated_twilio.rest.add(SimulatedCall(account_sid=AC, sid="CAnonsense"))
    metrics = Metrics()
    configured = settings(twilio_api_url=simulated_twilio.url)
    async with http_client(configured) as client:
        rest = RestClient(client, configured, metrics=metrics)
        assert await listed_calls(rest) == [CA]
    assert metrics.registry.get_sample_value("amd_callbacks_total", {"route": "rest", "outcome": "malformed"}) == 1


@pytest.mark.parametrize("call", [b'{"sid": "CA", "start_time": "Sun, 99 Nov 2026 10:00:00 +0000"}', b'{"sid": "CA"}'])
async def test_a_call_that_cannot_be_read_is_no_call_that_twilio_does_not_know(
    simulated_twilio: SimulatedTwilio, rest: RestClient, call: bytes
) -> None:
    simulated_twilio.rest.scripted = [ScriptedResponse(200, call)]
    with pytest.raises(MalformedCallback, match=CA):
        await rest.get_call(ACCOUNT, CA)


async def test_a_calls_recordings_have_a_gap_for_one_that_cannot_be_read(
    simulated_twilio: SimulatedTwilio, rest: RestClient
) -> None:
    page = b'{"recordings": [{"sid": 7}, {"start_time": "Sun, 99 Nov 2026 10:00:00 +0000"}], "page": 0}'
    simulated_twilio.rest.scripted = [ScriptedResponse(200, page)]
    assert await rest.list_call_recordings(ACCOUNT, CA) == [None, None]


MALFORMED_PAGE = b'{"calls": [{"sid": 7}, {"start_time": "Sun, 99 Nov 2026 10:00:00 +0000"}, "text", null], "page": 0}'


async def test_nonsense_in_a_list_is_passed_over(simulated_twilio: SimulatedTwilio, rest: RestClient) -> None:
    simulated_twilio.rest.scripted = [ScriptedResponse(200, MALFORMED_PAGE)]
    assert await listed_calls(rest) == []


@pytest.mark.parametrize(
    "page",
    [
        b'{"calls": [], "next_page_uri": "/\\u0000"}',
        b'{"page": 0}',
        b'{"calls": [], "x": []}',
        b'{"ok": true}',
        b'{"calls": null}',
        b'{"meta": {"key": "x"}}',
        b'{"calls": [], "next_page_uri": 5}',
    ],
)
async def test_an_invalid_list_page_is_an_outage(
    simulated_twilio: SimulatedTwilio, rest: RestClient, page: bytes
) -> None:
    simulated_twilio.rest.scripted = [ScriptedResponse(200, page)]
    with pytest.raises(TwilioUnavailable, match="invalid list page"):
        await listed_calls(rest)


@pytest.mark.parametrize("name", EVERYTHING)
async def test_nothing_waits_for_ever(simulated_twilio: SimulatedTwilio, name: str) -> None:
    simulated_twilio.rest.scripted = [ScriptedResponse(200, silent=True)]
    configured = settings(twilio_api_url=simulated_twilio.url, twilio_timeout_s=0.3)
    began = perf_counter()
    async with http_client(configured) as client:
        with pytest.raises(OutcomeUnknown if name in CHANGES else TwilioUnavailable, match="no answer"):
            await EVERYTHING[name](RestClient(client, configured))
    assert 0.3 <= perf_counter() - began < 9


@pytest.mark.parametrize("name", EVERYTHING)
async def test_a_request_that_never_left_did_nothing(name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    configured = settings(twilio_api_url=f"http://127.0.0.1:{port}")
    async with http_client(configured) as client:
        with pytest.raises(TwilioUnavailable, match="cannot be reached"):
            await EVERYTHING[name](RestClient(client, configured))


@pytest.mark.parametrize("name", CHANGES)
async def test_a_request_that_the_proxy_opens_no_tunnel_for_did_nothing(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as proxy:
        monkeypatch.setenv("no_proxy", "")
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}")
        async with http_client(settings()) as client:
            with pytest.raises(TwilioUnavailable, match="cannot be reached: ProxyError 502"):
                await CHANGES[name](RestClient(client, settings()))
    assert [request.split()[:2] for request in asked] == [[b"CONNECT", b"api.twilio.com:443"]]


LOST = [
    ScriptedResponse(200, b"{}", cut=True),
    ScriptedResponse(500),
    ScriptedResponse(502),
    ScriptedResponse(302, headers={"location": "/2010-04-01/elsewhere"}),
    ScriptedResponse(200, b"<html>a proxy's page</html>", {"content-type": "text/html"}),
    ScriptedResponse(200, b"not compressed", {"content-encoding": "gzip"}),
]


@pytest.mark.parametrize("answer", LOST, ids=lambda answer: f"{answer.status}-{len(answer.body)}")
@pytest.mark.parametrize("name", EVERYTHING)
async def test_a_lost_answer_leaves_open_whether_something_was_changed(
    simulated_twilio: SimulatedTwilio, rest: RestClient, name: str, answer: ScriptedResponse
) -> None:
    simulated_twilio.rest.scripted = [answer]
    with pytest.raises(OutcomeUnknown if name in CHANGES else TwilioUnavailable):
        await EVERYTHING[name](rest)
    assert len(simulated_twilio.rest.requests) == 1  # neither repeated nor redirected


@pytest.mark.parametrize("name", EVERYTHING)
async def test_too_many_requests_say_how_long_to_wait(
    simulated_twilio: SimulatedTwilio, rest: RestClient, name: str
) -> None:
    simulated_twilio.rest.scripted = [ScriptedResponse(429, headers={"retry-after": "7"})]
    with pytest.raises(TooManyRequests, match="429") as unavailable:
        await EVERYTHING[name](rest)
    assert unavailable.value.retry_after_s == 7


@pytest.mark.parametrize("name", EVERYTHING)
async def test_wrong_credentials_name_the_cure(simulated_twilio: SimulatedTwilio, rest: RestClient, name: str) -> None:
    simulated_twilio.rest.scripted = [ScriptedResponse(401, b'{"code": 20003, "message": "Authenticate"}')]
    with pytest.raises(CredentialsRefused, match=r"Authenticate.*TWILIO_API_KEY.*region") as refused:
        await EVERYTHING[name](rest)
    assert refused.value.code == 20003


async def test_a_call_that_was_placed_and_cannot_be_read_is_not_known_to_be_placed(
    simulated_twilio: SimulatedTwilio, rest: RestClient
) -> None:
    simulated_twilio.rest.scripted = [ScriptedResponse(201, b'{"sid": null}', carried_out=True)]
    with pytest.raises(OutcomeUnknown):
        await rest.place_call(ACCOUNT, ORDER)
