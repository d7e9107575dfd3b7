"""What is asked of Twilio, and how."""

from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from time import perf_counter

import httpx2
import pytest

from amd_service.domain import CallSid
from amd_service.errors import ConfigurationError, RequestRefused
from amd_service.simulator.twilio.call_store import StandInCall, StandInRecording, now
from amd_service.simulator.twilio.server import StandIn
from amd_service.twilio.recordings import http_client
from amd_service.twilio.rest import CallOrder, Rest
from tests.twilio.rest.conftest import (
    AC,
    ACCOUNT,
    CA,
    EVERYTHING,
    LONG_AGO,
    ORDER,
    PUBLIC,
    RE,
    listed_calls,
    listed_recordings,
    settings,
)

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("name", EVERYTHING)
async def test_every_request_is_one_that_twilio_describes(stand_in: StandIn, rest: Rest, name: str) -> None:
    await EVERYTHING[name](rest)
    assert stand_in.rest.requests  # the fixture holds them against the description


async def test_a_placed_call_is_recorded_and_reports_everything(stand_in: StandIn, rest: Rest) -> None:
    told = await rest.place(ACCOUNT, ORDER)
    call = stand_in.rest.calls[told.event.call_sid]
    assert (told.event.call_status, told.raw.route) == ("queued", "rest")
    assert dict(call.form) == {
        "To": "+12125550100",
        "From": "+15005550006",
        "Twiml": ORDER.twiml,
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


async def test_events_of_a_call_are_repeated_and_those_of_a_recording_are_one_value(
    stand_in: StandIn, rest: Rest
) -> None:
    call = stand_in.rest.calls[(await rest.place(ACCOUNT, ORDER)).event.call_sid]
    assert call.all_given("StatusCallbackEvent") == ["initiated", "ringing", "answered", "completed"]
    assert call.all_given("RecordingStatusCallbackEvent") == ["in-progress completed absent"]


async def test_both_tracks_are_two_channels_and_twilios_own_detection_does_not_hold_the_call_up(
    stand_in: StandIn, rest: Rest
) -> None:
    order = CallOrder("+1212", "+1313", url="https://example.org/twiml", track="both", twilio_amd=True, ring_s=20)
    call = stand_in.rest.calls[(await rest.place(ACCOUNT, order)).event.call_sid]
    amd = f"{PUBLIC}/twilio/amd#rt=6000&rc=3&rp=5xx,ct,rt"
    expected = {"Url": order.url, "Twiml": None, "RecordingTrack": "both", "RecordingChannels": "dual", "Timeout": "20"}
    own_amd = {"MachineDetection": "Enable", "AsyncAmd": "true", "AsyncAmdStatusCallback": amd}
    assert {name: call.given(name) for name in expected | own_amd} == expected | own_amd


async def test_a_call_is_not_placed_without_a_public_url(stand_in: StandIn) -> None:
    configured = settings(twilio_api_url=stand_in.url, public_url=None)
    async with http_client(configured) as client:
        with pytest.raises(ConfigurationError, match="AMD_PUBLIC_URL"):
            await Rest(client, configured).place(ACCOUNT, ORDER)
    assert stand_in.rest.requests == []


async def test_a_call_is_hung_up_once(stand_in: StandIn, rest: Rest) -> None:
    await rest.hang_up(ACCOUNT, CA)
    assert stand_in.rest.calls[CA].status == "completed"
    with pytest.raises(RequestRefused, match="not in-progress") as refused:
        await rest.hang_up(ACCOUNT, CA)
    assert refused.value.code == 21220


async def test_a_call_is_redirected_while_it_is_up(stand_in: StandIn, rest: Rest) -> None:
    await rest.redirect(ACCOUNT, CA, "https://example.org/next")
    assert stand_in.rest.calls[CA].updates == [[("Url", "https://example.org/next"), ("Method", "POST")]]
    stand_in.rest.calls[CA].end("completed")
    with pytest.raises(RequestRefused):
        await rest.redirect(ACCOUNT, CA, "https://example.org/next")


async def test_a_call_is_told_as_a_callback_would_tell_it(stand_in: StandIn, rest: Rest) -> None:
    call = stand_in.rest.calls[CA]
    call.started_at = now() - timedelta(seconds=42)
    call.parent_call_sid, call.answered_by = "CA" + "9" * 32, "machine_start"
    call.end("completed")
    told = await rest.call(ACCOUNT, CA)
    assert told is not None
    event = told.event
    assert (event.call_sid, event.account_sid, event.call_status, event.timestamp) == (
        CA,
        AC,
        "completed",
        call.ended_at,
    )
    assert (event.duration_s, event.parent_call_sid, event.answered_by) == (42, "CA" + "9" * 32, "machine_start")
    assert (event.direction, event.to_number, event.sequence_number) == ("outbound-api", "+12125550100", None)


async def test_what_twilio_does_not_know_is_none(rest: Rest) -> None:
    unknown = CallSid("CA" + "0" * 32)
    assert await rest.call(ACCOUNT, unknown) is None
    assert await rest.recordings_of(ACCOUNT, unknown) == []


async def test_a_calls_recordings_come_with_their_track(rest: Rest) -> None:
    (told,) = await rest.recordings_of(ACCOUNT, CA)
    assert told is not None
    event = told.event
    assert (event.recording_sid, event.recording_status, event.track) == (RE, "completed", "inbound")
    assert (event.source, event.channels, event.duration_s) == ("OutboundAPI", 1, 5)


async def test_recordings_of_conferences_are_left_out(stand_in: StandIn, rest: Rest) -> None:
    stand_in.rest.conferences.append(StandInRecording(call_sid=None, conference_sid="CF" + "1" * 32))
    assert await listed_recordings(rest) == [(RE, CA)]


async def test_a_recording_that_is_gone_is_as_good_as_deleted(stand_in: StandIn, rest: Rest) -> None:
    await rest.delete_recording(ACCOUNT, RE)
    assert RE not in stand_in.media.reels
    await rest.delete_recording(ACCOUNT, RE)


async def test_lists_are_asked_for_from_a_moment_on(stand_in: StandIn, rest: Rest) -> None:
    moment = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
    stand_in.rest.add(StandInCall(account_sid=AC, started_at=moment - timedelta(seconds=1)))
    late = stand_in.rest.add(StandInCall(account_sid=AC, started_at=moment))
    stand_in.rest.calls[CA].started_at = moment + timedelta(hours=1)
    assert [told.event.call_sid async for told in rest.calls(ACCOUNT, moment)] == [CA, late.sid]


@pytest.mark.parametrize("name", ["calls", "recorded_calls", "recordings_of"])
async def test_a_page_is_no_larger_than_what_comes_in_time(stand_in: StandIn, rest: Rest, name: str) -> None:
    await EVERYTHING[name](rest)
    assert [dict(request.query)["PageSize"] for request in stand_in.rest.requests] == ["200"]


async def test_every_page_is_read(stand_in: StandIn, rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amd_service.twilio.rest.api.PAGE_SIZE", 2)
    sids = {stand_in.rest.add(StandInCall(account_sid=AC)).sid for _ in range(4)} | {CA}
    assert set(await listed_calls(rest)) == sids
    assert [dict(request.query).get("PageToken") for request in stand_in.rest.requests] == [None, "PA1", "PA2"]


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
async def test_credentials_go_nowhere_else_whatever_the_link_to_the_next_page(link: dict[str, object]) -> None:
    asked: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return httpx2.Response(200, json={"calls": [], **(link if len(asked) == 1 else {})})

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as client:
        await listed_calls(Rest(client, settings()))
    assert [(request.url.scheme, request.url.host, request.url.port) for request in asked] == [
        ("https", "api.twilio.com", None)
    ] * 2
    assert len({request.headers["authorization"] for request in asked}) == 1


async def test_the_environment_does_not_choose_the_host(
    stand_in: StandIn, rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWILIO_REGION", "au1")
    monkeypatch.setenv("TWILIO_EDGE", "sydney")
    await listed_calls(rest)
    assert len(stand_in.rest.requests) == 1


@pytest.mark.parametrize(
    ("given", "host"),
    [({}, "api.twilio.com"), ({"twilio_region": "ie1", "twilio_edge": "dublin"}, "api.dublin.ie1.twilio.com")],
)
async def test_region_and_edge_make_the_host(given: dict[str, str], host: str) -> None:
    asked: list[httpx2.URL] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url)
        return httpx2.Response(404, json={"code": 20404, "message": "not found"})

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as client:
        names = {f"TWILIO_{name.partition('_')[2].upper()}": value for name, value in given.items()}
        assert await Rest(client, settings(**names)).call(ACCOUNT, CA) is None
    assert [(url.scheme, url.host, url.port) for url in asked] == [("https", host, None)]


async def test_requests_in_no_hurry_are_spaced(stand_in: StandIn) -> None:
    configured = settings(twilio_api_url=stand_in.url)
    async with http_client(configured) as client:
        rest = Rest(client, configured, per_s=50)
        began = perf_counter()
        for _ in range(5):
            await rest.call(ACCOUNT, CA)
    assert perf_counter() - began >= 5 / 50


async def test_a_list_that_is_not_read_to_its_end_is_closed(rest: Rest) -> None:
    async with aclosing(rest.calls(ACCOUNT, LONG_AGO)) as calls:  # type: ignore[type-var]
        assert (await anext(calls)).event.call_sid == CA
