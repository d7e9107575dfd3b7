"""The doors for calls that are up, with the model that ships."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from urllib.parse import urlencode

import pytest
from pydantic import SecretStr
from twilio.request_validator import RequestValidator
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from amd_service.calls.database import Database
from amd_service.calls.tables import BROKEN_OFF, CallLog
from amd_service.classifier.inference import Priority
from amd_service.detector.detector import Detector
from amd_service.detector.live import CONTENT_TYPE
from amd_service.domain import CallSid, RecordingSid, Verdict
from amd_service.lab.stand_in.server import serve_on_loopback
from amd_service.lab.stand_in.streams import MediaStream, Played, play
from amd_service.web import live
from amd_service.web.app import create_app
from tests.calls import deliveries
from tests.calls.deliveries import recording_row, verdict_rows
from tests.web.conftest import ACCOUNT, CALL, PUBLIC_URL, STATUS, TOKEN, Doors, open_doors
from tests.web.recordings import HUMAN, SILENCE, samples_of

pytestmark = pytest.mark.anyio

SIGNED_URL = "wss://amd.example.com/twilio/media"
HELLO, QUIET = samples_of(HUMAN), samples_of(SILENCE)  # μ-law as it is
STREAM = MediaStream(ACCOUNT, HELLO, call_sid=CALL, pace=None)
STREAM_ROW = RecordingSid(STREAM.stream_sid)
EMPTY = {"call_log": 0, "callback": 0, "recording": 0}


class Line:
    """The service on a port, for Twilio to stream to."""

    def __init__(self, doors: Doors, url: str) -> None:
        self.doors = doors
        self.url = url.replace("http", "ws") + "/twilio/media"

    async def play(self, stream: MediaStream = STREAM, *, token: str = TOKEN) -> Played:
        return await play(self.url, stream, token=token, signed_url=SIGNED_URL)

    def open(self, path: str = "/twilio/media") -> connect:
        signed = RequestValidator(TOKEN).compute_signature("wss://amd.example.com" + path, {})
        url = self.url.removesuffix("/twilio/media") + path
        return connect(url, additional_headers={"X-Twilio-Signature": signed}, proxy=None)

    async def ended(self, outcome: str, times: int = 1) -> None:
        await until(lambda: self.doors.counted("amd_streams_total", outcome=outcome) == times)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what the server does on its side of the connection."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.005)


async def call_row(line: Line) -> CallLog:
    return await deliveries.call_row(line.doors.runtime.database, CallSid(CALL))


async def say(connection: ClientConnection, *messages: dict[str, object]) -> None:
    for message in messages:
        await connection.send(json.dumps(message))


@pytest.fixture
async def line(database: Database, demo: Detector) -> AsyncIterator[Line]:
    doors = open_doors(database, demo, live=True, live_streams=1, on_human="hang_up")
    async with serve_on_loopback(create_app(doors.runtime), websockets=True) as url:
        yield Line(doors, url)
    await doors.client.aclose()


async def judge(detector: Detector, audio: bytes) -> Verdict:
    return await detector.judge(
        audio, content_type=CONTENT_TYPE, channel=None, one_sided=True, priority=Priority.RECORDING
    )


async def test_a_stream_gets_the_verdict_of_its_recording_and_is_closed(line: Line, demo: Detector) -> None:
    played = await line.play()
    assert (played.close_code, played.refused) == (1000, None)
    expected, call = await judge(demo, HELLO), await call_row(line)
    assert (call.label, call.reason, call.confidence) == (expected.label, expected.reason, expected.confidence)
    assert (call.analysis_state, call.verdict_source) == ("judged", "stream")
    assert (call.action, call.action_state) == ("hang_up", "due")
    await line.ended("verdict")
    assert line.doors.counted("amd_live_streams") == 0


async def test_a_stream_that_ends_before_anything_is_said_says_so(line: Line) -> None:
    await line.play(replace(STREAM, audio=QUIET))
    call = await call_row(line)
    assert (call.analysis_state, call.label, call.reason, call.confidence) == ("judged", "undecided", "no_speech", None)
    await line.ended("verdict")


async def test_a_stream_that_breaks_off_is_judged_on_what_was_heard_and_not_acted_upon(
    line: Line, demo: Detector
) -> None:
    await line.play(replace(STREAM, cut_after=90))
    await line.ended("broken_off")
    assert (await recording_row(line.doors.runtime.database, STREAM_ROW)).recording_status == BROKEN_OFF
    expected, call = await judge(demo, HELLO[: 90 * 160]), await call_row(line)
    assert (call.label, call.reason, call.confidence) == (expected.label, expected.reason, expected.confidence)
    assert (call.label, call.action) == ("human", None)


async def test_lost_and_doubled_chunks_do_not_move_the_speech(line: Line, demo: Detector) -> None:
    await line.play(replace(STREAM, skipped=frozenset({3, 4, 9}), repeated=frozenset({6, 40})))
    expected = await judge(demo, HELLO)
    (row,) = await verdict_rows(line.doors.runtime.database)
    assert row.label == expected.label
    assert row.onset_ms == pytest.approx(expected.onset_ms, abs=32)


async def test_a_stream_of_which_too_much_is_missing_has_no_verdict(line: Line) -> None:
    played = await line.play(replace(STREAM, skipped=frozenset(range(10, 70))))
    assert played.close_code == 1008
    await line.ended("malformed")
    assert await line.doors.rows() == EMPTY


async def test_a_second_verdict_of_one_stream_changes_nothing(line: Line) -> None:
    await line.play()
    await line.play(replace(STREAM, audio=QUIET))
    await line.ended("unused")
    assert (await call_row(line)).label == "human"
    assert (await recording_row(line.doors.runtime.database, STREAM_ROW)).state == "done"


@pytest.mark.parametrize("token", ["wrong", TOKEN[:-1]])
async def test_an_unsigned_handshake_is_refused_before_it_is_accepted(line: Line, token: str) -> None:
    assert (await line.play(token=token)).refused == 403
    assert await line.doors.rows() == EMPTY
    await line.ended("refused")


async def test_the_start_message_must_name_an_account_whose_token_fits(line: Line) -> None:
    assert (await line.play(replace(STREAM, account_sid="AC" + "9" * 32))).close_code == 1008
    assert await line.doors.rows() == EMPTY


async def test_more_streams_than_places_are_turned_away(line: Line) -> None:
    async with line.open() as first:
        await say(first, STREAM.start())
        assert (await line.play()).refused == 403
        await first.close()
    await line.ended("unjudged")  # nothing was heard
    assert (await line.play()).close_code == 1000


@pytest.mark.parametrize(
    "message",
    [
        "nonsense",
        b"binary",
        json.dumps({"event": "x" * 70_000}),
        json.dumps(STREAM.media(1)),
        json.dumps(STREAM.stop()),
        json.dumps(replace(STREAM, call_sid="CA1").start()),
    ],
    ids=["nonsense", "binary", "too large", "media first", "stop first", "bad sid"],
)
async def test_what_makes_no_sense_ends_the_stream(line: Line, message: str | bytes) -> None:
    async with line.open() as connection:
        await connection.send(message)
        await connection.wait_closed()
    assert connection.close_code == 1008
    assert await line.doors.rows() == EMPTY


@pytest.mark.parametrize("message", [STREAM.start(), replace(STREAM, stream_sid="MZ" + "9" * 32).media(1)])
async def test_a_stream_is_one_stream(line: Line, message: dict[str, object]) -> None:
    async with line.open() as connection:
        await say(connection, STREAM.start(), message)
        await connection.wait_closed()
    assert connection.close_code == 1008


async def test_silence_on_the_connection_ends_it(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "IDLE_S", 0.05)
    async with line.open() as connection:
        await say(connection, STREAM.start(), STREAM.media(1))
        await connection.wait_closed()
    assert connection.close_code == 1000
    await line.ended("broken_off")
    assert (await call_row(line)).reason == "too_short"


async def test_a_stream_that_never_comes_to_its_end_is_ended(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "STREAM_S", 0.3)
    played = await line.play(replace(STREAM, audio=QUIET * 20, pace=1.0))
    assert played.close_code == 1000
    assert played.lasted_s < 5
    await line.ended("broken_off")


async def test_no_other_path_takes_a_websocket(line: Line) -> None:
    for path in ("/", "/predict-stream", "/twilio/status", "/twilio/media/", "/twilio/stream.xml"):
        with pytest.raises(InvalidStatus) as refused:
            async with line.open(path):
                pass
        assert refused.value.response.status_code == 403


async def test_without_a_model_a_stream_ends_without_a_verdict(database: Database) -> None:
    doors = open_doors(database, live=True)
    async with serve_on_loopback(create_app(doors.runtime), websockets=True) as url:
        line = Line(doors, url)
        assert (await line.play()).close_code == 1000
        await line.ended("unjudged")
    assert await doors.rows() == EMPTY
    await doors.client.aclose()


async def test_without_a_database_a_stream_ends_all_the_same(closed_database: Database, demo: Detector) -> None:
    doors = open_doors(closed_database, demo, live=True)
    async with serve_on_loopback(create_app(doors.runtime), websockets=True) as url:
        line = Line(doors, url)
        assert (await line.play()).close_code == 1000
        await line.ended("not_stored")
    await doors.client.aclose()


async def test_both_doors_are_closed_unless_live_is_on(doors: Doors) -> None:
    assert (await doors.callback("/twilio/stream.xml", STATUS)).status_code == 404
    async with serve_on_loopback(create_app(doors.runtime), websockets=True) as url:
        assert (await Line(doors, url).play()).refused == 403


@pytest.fixture
async def open_live(closed_database: Database) -> AsyncIterator[Doors]:
    doors = open_doors(closed_database, live=True, live_next_url="https://example.com/next")
    yield doors
    await doors.client.aclose()


async def test_a_signed_post_gets_the_twiml(open_live: Doors) -> None:
    answer = await open_live.callback("/twilio/stream.xml", STATUS)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/xml; charset=utf-8"
    assert f'<Stream track="inbound_track" url="{SIGNED_URL}" />' in answer.text
    assert "<Redirect>https://example.com/next</Redirect>" in answer.text
    assert (await open_live.callback("/twilio/stream.xml", STATUS, token="wrong")).status_code == 403
    assert open_live.counted("amd_callbacks_total", route="stream", outcome="answered") == 1
    assert open_live.counted("amd_callbacks_total", route="stream", outcome="refused_403") == 1


async def test_a_signed_get_gets_it_too(open_live: Doors) -> None:
    path = "/twilio/stream.xml?" + urlencode(STATUS)
    signed = RequestValidator(TOKEN).compute_signature(PUBLIC_URL + path, {})
    answer = await open_live.client.get(path, headers={"X-Twilio-Signature": signed})
    assert (answer.status_code, SIGNED_URL in answer.text) == (200, True)
    assert (await open_live.client.get(path)).status_code == 403
    assert (await open_live.client.get(path + "&x=1", headers={"X-Twilio-Signature": signed})).status_code == 403


async def test_a_rotated_token_opens_a_stream(database: Database, demo: Detector) -> None:
    doors = open_doors(database, demo, live=True, twilio_auth_token=[SecretStr("new"), SecretStr(TOKEN)])
    async with serve_on_loopback(create_app(doors.runtime), websockets=True) as url:
        assert (await Line(doors, url).play()).close_code == 1000
    await doors.client.aclose()


async def test_a_model_that_does_not_come_to_it_in_time_leaves_no_verdict(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "STREAM_S", 0.2)
    monkeypatch.setattr(live, "VERDICT_S", -0.1)
    assert (await line.play(replace(STREAM, audio=QUIET * 20, pace=1.0))).close_code == 1000
    await line.ended("unjudged")
    assert await line.doors.rows() == EMPTY
