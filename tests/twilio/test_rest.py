"""Twilio's REST API, against a stand-in that holds every request against Twilio's own description."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any

import httpx2
import pytest

from amd_service.domain import AccountSid, CallSid, RecordingSid
from amd_service.errors import ConfigurationError, OutcomeUnknown, RequestRefused, TwilioUnavailable
from amd_service.lab.stand_in.known_calls import StandInCall, StandInRecording, now
from amd_service.lab.stand_in.media_host import Answer, Reel
from amd_service.lab.stand_in.rest_api import RestRequest
from amd_service.lab.stand_in.server import StandIn
from amd_service.settings import Account, Settings
from amd_service.telemetry import Metrics
from amd_service.twilio.recordings import http_client
from amd_service.twilio.rest import CallOrder, Rest
from tests.twilio.openapi.description import twilio_description
from tests.twilio.stand_in import watched_stand_in

pytestmark = pytest.mark.anyio

AC = AccountSid("AC" + "a" * 32)
CA = CallSid("CA" + "1" * 32)
RE = RecordingSid("RE" + "2" * 32)
ACCOUNT = Account.model_validate({"account_sid": AC, "auth_tokens": ["token"], "api_key": "SKkey", "api_secret": "shh"})
ORDER = CallOrder("+12125550100", "+15005550006", twiml="<Response><Pause/></Response>")
PUBLIC = "https://amd.example.org/base"
TIMEOUT_S = 0.3
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)

Ask = Callable[[Rest], Awaitable[object]]


async def listed_calls(rest: Rest) -> list[str]:
    return [told.event.call_sid async for told in rest.calls(ACCOUNT, LONG_AGO)]


async def listed_recordings(rest: Rest) -> list[tuple[str, str]]:
    return [found async for found in rest.recorded_calls(ACCOUNT, LONG_AGO)]


CHANGES: dict[str, Ask] = {
    "place": lambda rest: rest.place(ACCOUNT, ORDER),
    "hang_up": lambda rest: rest.hang_up(ACCOUNT, CA),
    "redirect": lambda rest: rest.redirect(ACCOUNT, CA, "https://example.org/twiml?x=1&y=2"),
}
QUESTIONS: dict[str, Ask] = {
    "call": lambda rest: rest.call(ACCOUNT, CA),
    "calls": listed_calls,
    "recorded_calls": listed_recordings,
    "recordings_of": lambda rest: rest.recordings_of(ACCOUNT, CA),
    # As safe to repeat as a question: what is gone is gone.
    "delete_recording": lambda rest: rest.delete_recording(ACCOUNT, RE),
}
EVERYTHING = CHANGES | QUESTIONS


def settings(**given: Any) -> Settings:
    return Settings(_env_file=None, **{"public_url": PUBLIC, "twilio_timeout_s": TIMEOUT_S, **given})


@pytest.fixture
async def stand_in() -> AsyncIterator[StandIn]:
    async with watched_stand_in(ACCOUNT) as running:
        call = running.rest.add(StandInCall(account_sid=AC, sid=CA, status="in-progress", started_at=now()))
        call.recordings.append(StandInRecording(call_sid=CA, sid=RE))
        running.media.reels[RE] = Reel(b"RIFF")
        yield running


@pytest.fixture
async def rest(stand_in: StandIn) -> AsyncIterator[Rest]:
    configured = settings(twilio_api_url=stand_in.url)
    async with http_client(configured) as client:
        yield Rest(client, configured)


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
        "StatusCallback": f"{PUBLIC}/twilio/status#rc=3&rp=5xx,ct,rt",
        "StatusCallbackMethod": "POST",
        "StatusCallbackEvent": "completed",
        "RecordingStatusCallback": f"{PUBLIC}/twilio/recording#rc=3&rp=5xx,ct,rt",
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
    amd = f"{PUBLIC}/twilio/amd#rc=3&rp=5xx,ct,rt"
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


async def test_what_cannot_be_read_does_not_end_a_list(stand_in: StandIn) -> None:
    stand_in.rest.add(StandInCall(account_sid=AC, sid="CAnonsense"))
    metrics = Metrics()
    configured = settings(twilio_api_url=stand_in.url)
    async with http_client(configured) as client:
        rest = Rest(client, configured, metrics=metrics)
        assert await listed_calls(rest) == [CA]
    assert metrics.registry.get_sample_value("amd_callbacks_total", {"route": "rest", "outcome": "malformed"}) == 1


MALFORMED_PAGE = b'{"calls": [{"sid": 7}, {"start_time": "Sun, 99 Nov 2026 10:00:00 +0000"}, "text", null], "page": 0}'


async def test_nonsense_in_a_list_is_passed_over(stand_in: StandIn, rest: Rest) -> None:
    stand_in.rest.first = [Answer(200, MALFORMED_PAGE)]
    assert await listed_calls(rest) == []


@pytest.mark.parametrize("name", EVERYTHING)
async def test_nothing_waits_for_ever(stand_in: StandIn, rest: Rest, name: str) -> None:
    stand_in.rest.first = [Answer(200, silent=True)]
    began = perf_counter()
    with pytest.raises(OutcomeUnknown if name in CHANGES else TwilioUnavailable, match="no answer"):
        await EVERYTHING[name](rest)
    assert TIMEOUT_S <= perf_counter() - began < 10 * TIMEOUT_S


@pytest.mark.parametrize("name", EVERYTHING)
async def test_a_request_that_never_left_did_nothing(name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    configured = settings(twilio_api_url=f"http://127.0.0.1:{port}")
    async with http_client(configured) as client:
        with pytest.raises(TwilioUnavailable, match="cannot be reached"):
            await EVERYTHING[name](Rest(client, configured))


LOST = [
    Answer(200, b"{}", cut=True),
    Answer(500),
    Answer(502),
    Answer(302, headers={"location": "/2010-04-01/elsewhere"}),
    Answer(200, b"<html>a proxy's page</html>", {"content-type": "text/html"}),
]


@pytest.mark.parametrize("answer", LOST, ids=lambda answer: f"{answer.status}-{len(answer.body)}")
@pytest.mark.parametrize("name", EVERYTHING)
async def test_a_lost_answer_leaves_open_whether_something_was_changed(
    stand_in: StandIn, rest: Rest, name: str, answer: Answer
) -> None:
    stand_in.rest.first = [answer]
    with pytest.raises(OutcomeUnknown if name in CHANGES else TwilioUnavailable):
        await EVERYTHING[name](rest)
    assert len(stand_in.rest.requests) == 1  # neither repeated nor redirected


@pytest.mark.parametrize("name", EVERYTHING)
async def test_too_many_requests_say_how_long_to_wait(stand_in: StandIn, rest: Rest, name: str) -> None:
    stand_in.rest.first = [Answer(429, headers={"retry-after": "7"})]
    with pytest.raises(TwilioUnavailable, match="429") as unavailable:
        await EVERYTHING[name](rest)
    assert unavailable.value.retry_after_s == 7


@pytest.mark.parametrize("name", EVERYTHING)
async def test_wrong_credentials_name_the_cure(stand_in: StandIn, rest: Rest, name: str) -> None:
    stand_in.rest.first = [Answer(401, b'{"code": 20003, "message": "Authenticate"}')]
    with pytest.raises(RequestRefused, match=r"Authenticate.*TWILIO_API_KEY.*region") as refused:
        await EVERYTHING[name](rest)
    assert refused.value.code == 20003


async def test_a_call_that_was_placed_and_cannot_be_read_is_not_known_to_be_placed(
    stand_in: StandIn, rest: Rest
) -> None:
    stand_in.rest.first = [Answer(201, b'{"sid": null}', carried_out=True)]
    with pytest.raises(OutcomeUnknown):
        await rest.place(ACCOUNT, ORDER)


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


CALLS = f"/2010-04-01/Accounts/{AC}/Calls.json"
NUMBERS = [("To", "+1"), ("From", "+1")]


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        (RestRequest("POST", CALLS, [], [*NUMBERS, ("Recrod", "true")]), "Recrod is no parameter"),
        (RestRequest("POST", CALLS, [], [*NUMBERS, ("Timeout", "soon")]), "is no integer"),
        (RestRequest("POST", CALLS, [], [*NUMBERS, ("Record", "yes")]), "neither true nor false"),
        (RestRequest("POST", CALLS, [], [*NUMBERS, ("StatusCallbackMethod", "PUT")]), "is none of"),
        (RestRequest("POST", CALLS, [], [*NUMBERS, ("StatusCallback", "/status")]), "is no uri"),
        (RestRequest("POST", CALLS, [], [*NUMBERS, ("Trim", "a"), ("Trim", "b")]), "given 2 times"),
        (RestRequest("POST", CALLS, [], [("To", "+1")]), "From is missing"),
        (RestRequest("POST", CALLS, [("PageSize", "2")], NUMBERS), "PageSize is no parameter"),
        (RestRequest("GET", CALLS, [("StartTime>", "yesterday")], []), "is no date-time"),
        (RestRequest("GET", CALLS, [("PageSize", "1001")], []), "out of range"),
        (RestRequest("GET", CALLS, [("Status", "done")], []), "is none of"),
        (RestRequest("GET", CALLS.replace(AC, "ACme"), [], []), "too short"),
        (RestRequest("GET", CALLS.replace(AC, "AC" + "x" * 32), [], []), "does not match"),
        (RestRequest("PUT", CALLS, [], []), "is no operation"),
        (RestRequest("GET", "/2010-04-01/Calls.json", [], []), "is no operation"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_description_finds_what_is_wrong(request_: RestRequest, problem: str) -> None:
    (found,) = twilio_description().violations(request_)
    assert problem in found


def test_the_description_has_nothing_against_what_is_right() -> None:
    events = [("StatusCallbackEvent", "ringing"), ("StatusCallbackEvent", "completed")]
    assert twilio_description().violations(RestRequest("POST", CALLS, [], [*NUMBERS, *events])) == []
