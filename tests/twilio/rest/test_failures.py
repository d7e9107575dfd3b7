"""The error of a failed request shows whether Twilio may have carried out the request."""

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
from tests.support.rest import AC, ACCOUNT, CA, CALL_REQUEST, CHANGES, EVERYTHING, listed_calls, settings

pytestmark = pytest.mark.anyio


async def test_a_malformed_call_is_counted_and_skipped_in_a_list(simulated_twilio: SimulatedTwilio) -> None:
    simulated_twilio.rest.add(SimulatedCall(account_sid=AC, sid="CAnonsense"))
    metrics = Metrics()
    configured = settings(twilio_api_url=simulated_twilio.url)
    async with http_client(configured) as client:
        rest = RestClient(client, configured, metrics=metrics)
        assert await listed_calls(rest) == [CA]
    assert metrics.registry.get_sample_value("amd_callbacks_total", {"route": "rest", "outcome": "malformed"}) == 1


@pytest.mark.parametrize("call", [b'{"sid": "CA", "start_time": "Sun, 99 Nov 2026 10:00:00 +0000"}', b'{"sid": "CA"}'])
async def test_fetching_a_malformed_call_raises_an_error(
    simulated_twilio: SimulatedTwilio, rest: RestClient, call: bytes
) -> None:
    simulated_twilio.rest.scripted = [ScriptedResponse(200, call)]
    with pytest.raises(MalformedCallback, match=CA):
        await rest.get_call(ACCOUNT, CA)


async def test_a_malformed_recording_is_none_in_the_list(simulated_twilio: SimulatedTwilio, rest: RestClient) -> None:
    page = b'{"recordings": [{"sid": 7}, {"start_time": "Sun, 99 Nov 2026 10:00:00 +0000"}], "page": 0}'
    simulated_twilio.rest.scripted = [ScriptedResponse(200, page)]
    assert await rest.list_call_recordings(ACCOUNT, CA) == [None, None]


MALFORMED_PAGE = b'{"calls": [{"sid": 7}, {"start_time": "Sun, 99 Nov 2026 10:00:00 +0000"}, "text", null], "page": 0}'


async def test_malformed_resources_in_a_list_are_skipped(simulated_twilio: SimulatedTwilio, rest: RestClient) -> None:
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
async def test_every_request_times_out(simulated_twilio: SimulatedTwilio, name: str) -> None:
    simulated_twilio.rest.scripted = [ScriptedResponse(200, silent=True)]
    configured = settings(twilio_api_url=simulated_twilio.url, twilio_timeout_s=0.3)
    started = perf_counter()
    async with http_client(configured) as client:
        with pytest.raises(OutcomeUnknown if name in CHANGES else TwilioUnavailable, match="no response"):
            await EVERYTHING[name](RestClient(client, configured))
    assert 0.3 <= perf_counter() - started < 9


@pytest.mark.parametrize("name", EVERYTHING)
async def test_a_refused_connection_means_that_twilio_did_nothing(name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    configured = settings(twilio_api_url=f"http://127.0.0.1:{port}")
    async with http_client(configured) as client:
        with pytest.raises(TwilioUnavailable, match="cannot be reached"):
            await EVERYTHING[name](RestClient(client, configured))


@pytest.mark.parametrize("name", CHANGES)
async def test_a_proxy_that_refuses_the_tunnel_means_that_twilio_did_nothing(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: list[bytes] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as proxy:
        monkeypatch.setenv("no_proxy", "")
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}")
        async with http_client(settings()) as client:
            with pytest.raises(TwilioUnavailable, match="cannot be reached: ProxyError 502"):
                await CHANGES[name](RestClient(client, settings()))
    host = b"insights.twilio.com:443" if name == "annotate_call" else b"api.twilio.com:443"
    assert [request.split()[:2] for request in requests] == [[b"CONNECT", host]]


LOST_RESPONSES = [
    ScriptedResponse(200, b"{}", cut=True),
    ScriptedResponse(500),
    ScriptedResponse(502),
    ScriptedResponse(302, headers={"location": "/2010-04-01/elsewhere"}),
    ScriptedResponse(200, b"<html>a proxy's page</html>", {"content-type": "text/html"}),
    ScriptedResponse(200, b"not compressed", {"content-encoding": "gzip"}),
]


@pytest.mark.parametrize("response", LOST_RESPONSES, ids=lambda response: f"{response.status}-{len(response.body)}")
@pytest.mark.parametrize("name", EVERYTHING)
async def test_a_lost_response_leaves_the_outcome_of_a_change_unknown(
    simulated_twilio: SimulatedTwilio, rest: RestClient, name: str, response: ScriptedResponse
) -> None:
    simulated_twilio.rest.scripted = [response]
    with pytest.raises(OutcomeUnknown if name in CHANGES else TwilioUnavailable):
        await EVERYTHING[name](rest)
    assert len(simulated_twilio.rest.requests) == 1  # no retry, and no redirect was followed


@pytest.mark.parametrize("name", EVERYTHING)
async def test_a_429_carries_its_retry_after(simulated_twilio: SimulatedTwilio, rest: RestClient, name: str) -> None:
    simulated_twilio.rest.scripted = [ScriptedResponse(429, headers={"retry-after": "7"})]
    with pytest.raises(TooManyRequests, match="429") as raised:
        await EVERYTHING[name](rest)
    assert raised.value.retry_after_s == 7


@pytest.mark.parametrize("name", EVERYTHING)
async def test_refused_credentials_name_the_settings_to_check(
    simulated_twilio: SimulatedTwilio, rest: RestClient, name: str
) -> None:
    simulated_twilio.rest.scripted = [ScriptedResponse(401, b'{"code": 20003, "message": "Authenticate"}')]
    with pytest.raises(CredentialsRefused, match=r"Authenticate.*TWILIO_API_KEY.*region") as refused:
        await EVERYTHING[name](rest)
    assert refused.value.code == 20003


async def test_an_unreadable_response_to_a_placed_call_leaves_the_outcome_unknown(
    simulated_twilio: SimulatedTwilio, rest: RestClient
) -> None:
    simulated_twilio.rest.scripted = [ScriptedResponse(201, b'{"sid": null}', carried_out=True)]
    with pytest.raises(OutcomeUnknown):
        await rest.place_call(ACCOUNT, CALL_REQUEST)


async def test_refused_credentials_on_loopback_name_the_new_lines_of_simulate(
    simulated_twilio: SimulatedTwilio, rest: RestClient
) -> None:
    simulated_twilio.rest.scripted = [ScriptedResponse(401, b'{"code": 20003, "message": "Authenticate"}')]
    with pytest.raises(CredentialsRefused, match="`amd-service simulate` was started again, paste its new lines"):
        await rest.get_call(ACCOUNT, CA)
