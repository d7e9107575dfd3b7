"""Requests to Twilio's REST API and their parsed responses."""

from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from time import perf_counter

import httpx2
import pytest

from amd_service.domain import CallSid
from amd_service.errors import ConfigurationError, RequestRefused
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio
from amd_service.simulator.twilio.resources import SimulatedCall, SimulatedRecording, now
from amd_service.twilio.call_request import CallRequest
from amd_service.twilio.recordings import http_client
from amd_service.twilio.rest import RestClient
from tests.support.rest import (
    AC,
    ACCOUNT,
    CA,
    CALL_REQUEST,
    EVERYTHING,
    LONG_AGO,
    PUBLIC,
    RE,
    listed_calls,
    listed_recordings,
    settings,
)

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("name", EVERYTHING)
async def test_every_request_matches_twilios_openapi_description(
    simulated_twilio: SimulatedTwilio, rest: RestClient, name: str
) -> None:
    await EVERYTHING[name](rest)
    assert simulated_twilio.rest.requests  # the fixture validates them against the description


async def test_a_placed_call_is_recorded_and_sends_every_callback(
    simulated_twilio: SimulatedTwilio, rest: RestClient
) -> None:
    placed = await rest.place_call(ACCOUNT, CALL_REQUEST)
    call = simulated_twilio.rest.calls[placed.event.call_sid]
    assert (placed.event.call_status, placed.raw.route) == ("queued", "rest")
    assert dict(call.form) == {
        "To": "+12125550100",
        "From": "+15005550006",
        "Twiml": CALL_REQUEST.twiml,
        "Timeout": "60",
        "Record": "true",
        "RecordingTrack": "inbound",
        "RecordingChannels": "mono",
        "Trim": "do-not-trim",
        "StatusCallback": f"{PUBLIC}/twilio/status#rt=6000&rc=3&rp=5xx,ct,rt",
        "StatusCallbackMethod": "POST",
        "StatusCallbackEvent": "completed",
        "RecordingStatusCallback": f"{PUBLIC}/twilio/recording#rt=6000&rc=3&rp=5xx,ct,rt",
        "RecordingStatusCallbackMethod": "POST",
        "RecordingStatusCallbackEvent": "in-progress completed absent",
    }


async def test_call_events_are_repeated_parameters_and_recording_events_are_one_value(
    simulated_twilio: SimulatedTwilio, rest: RestClient
) -> None:
    call = simulated_twilio.rest.calls[(await rest.place_call(ACCOUNT, CALL_REQUEST)).event.call_sid]
    assert call.form_values("StatusCallbackEvent") == ["initiated", "ringing", "answered", "completed"]
    assert call.form_values("RecordingStatusCallbackEvent") == ["in-progress completed absent"]


async def test_both_tracks_are_recorded_dual_and_twilios_detection_is_asynchronous(
    simulated_twilio: SimulatedTwilio, rest: RestClient
) -> None:
    request = CallRequest(
        to="+12125550100",
        from_number="+15005550006",
        url="https://example.org/twiml",
        track="both",
        twilio_amd=True,
        ring_s=20,
    )
    call = simulated_twilio.rest.calls[(await rest.place_call(ACCOUNT, request)).event.call_sid]
    amd = f"{PUBLIC}/twilio/amd#rt=6000&rc=3&rp=5xx,ct,rt"
    expected = {
        "Url": request.url,
        "Twiml": None,
        "RecordingTrack": "both",
        "RecordingChannels": "dual",
        "Timeout": "20",
    }
    amd_parameters = {"MachineDetection": "Enable", "AsyncAmd": "true", "AsyncAmdStatusCallback": amd}
    assert {name: call.form_value(name) for name in expected | amd_parameters} == expected | amd_parameters


async def test_no_call_is_placed_without_a_public_url(simulated_twilio: SimulatedTwilio) -> None:
    configured = settings(twilio_api_url=simulated_twilio.url, public_url=None)
    async with http_client(configured) as client:
        with pytest.raises(ConfigurationError, match="AMD_PUBLIC_URL"):
            await RestClient(client, configured).place_call(ACCOUNT, CALL_REQUEST)
    assert simulated_twilio.rest.requests == []


async def test_hanging_up_an_ended_call_is_refused(simulated_twilio: SimulatedTwilio, rest: RestClient) -> None:
    await rest.hang_up(ACCOUNT, CA)
    assert simulated_twilio.rest.calls[CA].status == "completed"
    with pytest.raises(RequestRefused, match="not in-progress") as refused:
        await rest.hang_up(ACCOUNT, CA)
    assert refused.value.code == 21220


async def test_a_call_is_redirected_only_while_it_is_in_progress(
    simulated_twilio: SimulatedTwilio, rest: RestClient
) -> None:
    await rest.redirect(ACCOUNT, CA, "https://example.org/next")
    assert simulated_twilio.rest.calls[CA].updates == [[("Url", "https://example.org/next"), ("Method", "POST")]]
    simulated_twilio.rest.calls[CA].end("completed")
    with pytest.raises(RequestRefused):
        await rest.redirect(ACCOUNT, CA, "https://example.org/next")


async def test_a_fetched_call_becomes_a_status_callback(simulated_twilio: SimulatedTwilio, rest: RestClient) -> None:
    call = simulated_twilio.rest.calls[CA]
    call.started_at = now() - timedelta(seconds=42)
    call.parent_call_sid, call.answered_by = "CA" + "9" * 32, "machine_start"
    call.end("completed")
    fetched = await rest.get_call(ACCOUNT, CA)
    assert fetched is not None
    event = fetched.event
    assert (event.call_sid, event.account_sid, event.call_status, event.timestamp) == (
        CA,
        AC,
        "completed",
        call.ended_at,
    )
    assert (event.duration_s, event.parent_call_sid, event.answered_by) == (42, "CA" + "9" * 32, "machine_start")
    assert (event.direction, event.to_number, event.sequence_number) == ("outbound-api", "+12125550100", None)


async def test_a_call_unknown_to_twilio_is_none_and_has_no_recordings(rest: RestClient) -> None:
    unknown = CallSid("CA" + "0" * 32)
    assert await rest.get_call(ACCOUNT, unknown) is None
    assert await rest.list_call_recordings(ACCOUNT, unknown) == []


async def test_a_calls_recordings_have_their_track(rest: RestClient) -> None:
    (listed,) = await rest.list_call_recordings(ACCOUNT, CA)
    assert listed is not None
    event = listed.event
    assert (event.recording_sid, event.recording_status, event.track) == (RE, "completed", "inbound")
    assert (event.source, event.channels, event.duration_s) == ("OutboundAPI", 1, 5)


async def test_conference_recordings_are_skipped(simulated_twilio: SimulatedTwilio, rest: RestClient) -> None:
    simulated_twilio.rest.conferences.append(SimulatedRecording(call_sid=None, conference_sid="CF" + "1" * 32))
    assert await listed_recordings(rest) == [(RE, CA)]


async def test_deleting_a_deleted_recording_succeeds(simulated_twilio: SimulatedTwilio, rest: RestClient) -> None:
    await rest.delete_recording(ACCOUNT, RE)
    assert RE not in simulated_twilio.media.files
    await rest.delete_recording(ACCOUNT, RE)


async def test_calls_before_the_given_moment_are_not_listed(
    simulated_twilio: SimulatedTwilio, rest: RestClient
) -> None:
    moment = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
    simulated_twilio.rest.add(SimulatedCall(account_sid=AC, started_at=moment - timedelta(seconds=1)))
    late = simulated_twilio.rest.add(SimulatedCall(account_sid=AC, started_at=moment))
    simulated_twilio.rest.calls[CA].started_at = moment + timedelta(hours=1)
    assert [listed.event.call_sid async for listed in rest.list_calls(ACCOUNT, moment)] == [CA, late.sid]


@pytest.mark.parametrize("name", ["list_calls", "list_recorded_calls", "list_call_recordings"])
async def test_lists_request_pages_of_200(simulated_twilio: SimulatedTwilio, rest: RestClient, name: str) -> None:
    await EVERYTHING[name](rest)
    assert [dict(request.query)["PageSize"] for request in simulated_twilio.rest.requests] == ["200"]


async def test_every_page_is_read(simulated_twilio: SimulatedTwilio) -> None:
    sids = {simulated_twilio.rest.add(SimulatedCall(account_sid=AC)).sid for _ in range(4)} | {CA}
    configured = settings(twilio_api_url=simulated_twilio.url)
    async with http_client(configured) as client:
        assert set(await listed_calls(RestClient(client, configured, page_size=2))) == sids
    assert [dict(request.query).get("PageToken") for request in simulated_twilio.rest.requests] == [None, "PA1", "PA2"]


EVIL = "https://user:password@evil.example/2010-04-01/next"


@pytest.mark.parametrize(
    "link",
    [
        {"next_page_uri": EVIL},
        {"next_page_uri": "//evil.example/next"},
        {"next_page_uri": "@evil.example/next"},
        {"meta": {"key": "calls", "next_page_url": EVIL}},
    ],
)
async def test_a_next_page_link_cannot_redirect_credentials_to_another_host(link: dict[str, object]) -> None:
    requests: list[httpx2.Request] = []

    def respond(request: httpx2.Request) -> httpx2.Response:
        requests.append(request)
        return httpx2.Response(200, json={"calls": [], **(link if len(requests) == 1 else {})})

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(respond)) as client:
        await listed_calls(RestClient(client, settings()))
    assert [(request.url.scheme, request.url.host, request.url.port) for request in requests] == [
        ("https", "api.twilio.com", None)
    ] * 2
    assert len({request.headers["authorization"] for request in requests}) == 1


async def test_twilio_variables_of_the_environment_do_not_change_the_host(
    simulated_twilio: SimulatedTwilio, rest: RestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWILIO_REGION", "au1")
    monkeypatch.setenv("TWILIO_EDGE", "sydney")
    await listed_calls(rest)
    assert len(simulated_twilio.rest.requests) == 1


@pytest.mark.parametrize(
    ("given", "host"),
    [({}, "api.twilio.com"), ({"twilio_region": "ie1", "twilio_edge": "dublin"}, "api.dublin.ie1.twilio.com")],
)
async def test_region_and_edge_determine_the_host(given: dict[str, str], host: str) -> None:
    urls: list[httpx2.URL] = []

    def respond(request: httpx2.Request) -> httpx2.Response:
        urls.append(request.url)
        return httpx2.Response(404, json={"code": 20404, "message": "not found"})

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(respond)) as client:
        names = {f"TWILIO_{name.partition('_')[2].upper()}": value for name, value in given.items()}
        assert await RestClient(client, settings(**names)).get_call(ACCOUNT, CA) is None
    assert [(url.scheme, url.host, url.port) for url in urls] == [("https", host, None)]


async def test_requests_with_a_rate_are_spaced(simulated_twilio: SimulatedTwilio) -> None:
    configured = settings(twilio_api_url=simulated_twilio.url)
    async with http_client(configured) as client:
        rest = RestClient(client, configured, per_s=50)
        started = perf_counter()
        for _ in range(5):
            await rest.get_call(ACCOUNT, CA)
    assert perf_counter() - started >= 5 / 50


async def test_a_list_can_be_closed_before_its_end(rest: RestClient) -> None:
    async with aclosing(rest.list_calls(ACCOUNT, LONG_AGO)) as calls:  # type: ignore[type-var]
        assert (await anext(calls)).event.call_sid == CA
