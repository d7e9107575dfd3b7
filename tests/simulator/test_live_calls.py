import asyncio
import io
import json
import wave
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import JsonValue
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from amd_service.detection.audio.decode import decode
from amd_service.errors import ConfigurationError
from amd_service.simulator.called_party_audio import called_party_audio
from amd_service.simulator.live_calls import read_stream, with_current_times
from amd_service.simulator.outcomes import Outcome
from amd_service.simulator.recorded_calls import RecordedCallback, load_calls
from amd_service.simulator.replay import replay
from amd_service.simulator.report import print_outcomes
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio, serve_on_loopback
from amd_service.simulator.twilio.rest_api import RestApi
from amd_service.twilio.callbacks import parse_form
from amd_service.twilio.media_streams import StreamMedia, StreamStarted, StreamStopped, parse_message
from amd_service.twilio.signature import verify, verify_handshake
from amd_service.twilio.twiml import continue_twiml
from amd_service.web.server import WEBSOCKETS
from tests.support.stub_service import ACCOUNT, PUBLIC_URL, Service, write_call

FIXTURES = Path(__file__).parents[2] / "fixtures" / "calls"
STREAMED: dict[str, JsonValue] = {"analysis_state": "judged", "label": "human", "verdict_source": "stream"}
TWIML = """<?xml version="1.0" encoding="UTF-8"?><Response><Start><Stream url="wss://amd.example.com/twilio/media">
<Parameter name="key" value="of this call"/></Stream></Start><Pause length="60"/></Response>"""
ACCOUNTS = {ACCOUNT.account_sid: ACCOUNT}


@dataclass
class LiveService(Service):
    """A stub service with live streams. It has a verdict after half a second of audio.

    `seen`: received callbacks, verdicts and actions, in order. `rest`: the REST API for actions; None means no action.
    """

    has_live_streams: bool = True
    accepts_streams: bool = True
    seen: list[str] = field(default_factory=list)
    started: list[dict[str, object]] = field(default_factory=list)
    heard: bytes = b""
    rest: RestApi | None = None
    acting: asyncio.Task[None] | None = None

    def app(self) -> Starlette:
        routes = [
            Route("/twilio/stream.xml", self.stream_xml, methods=["POST"]),
            WebSocketRoute("/twilio/media", self.media),
        ]
        return Starlette(routes=[*routes, *super().app().routes])

    async def callback(self, request: Request) -> Response:
        form = dict(parse_form(await request.body()))
        answer = await super().callback(request)
        self.seen.append(form.get("CallStatus", "recording"))
        if "RecordingSid" in form:
            sid = form["RecordingSid"]
            self.rows[form["CallSid"]] = STREAMED | {"recordings": [{"recording_sid": sid, "state": "done"}]}
            self.interim = STREAMED | {"recordings": [{"recording_sid": sid, "state": "running"}]}
        return answer

    async def stream_xml(self, request: Request) -> Response:
        form = parse_form(await request.body())
        verify(ACCOUNTS, PUBLIC_URL, request.scope["raw_path"], b"", form, request.headers)
        return Response(TWIML if self.has_live_streams else continue_twiml(None), media_type="text/xml")

    async def media(self, websocket: WebSocket) -> None:
        verify_handshake(ACCOUNTS, PUBLIC_URL, websocket.scope["raw_path"], b"", websocket.headers)
        if not self.accepts_streams:
            await websocket.close()
            return
        await websocket.accept()
        async for text in websocket.iter_text():
            match parse_message(text):
                case StreamStarted() as started:
                    self.started.append(json.loads(text)["start"])
                case StreamMedia() as media:
                    self.heard += media.audio
                case StreamStopped():
                    break
            if len(self.heard) >= 4000:
                break
        self.seen.append("verdict")
        self.rows[started.call_sid] = STREAMED
        if self.rest is not None:
            self.rows[started.call_sid] = STREAMED | {"action_state": "due"}
            self.acting = asyncio.create_task(self.act(started.call_sid, self.rest))
        await websocket.close()

    async def act(self, call_sid: str, rest: RestApi) -> None:
        """Run the action after 0.3 s, while Twilio still lists the call."""
        await asyncio.sleep(0.3)
        self.seen.append(f"acted upon {rest.calls[call_sid].status}")
        self.rows[call_sid] = STREAMED | {"action_state": "done"}


async def run(
    directory: Path, service: LiveService, simulated_twilio: SimulatedTwilio, **options: Any
) -> list[Outcome]:
    async with serve_on_loopback(service.app(), websockets=WEBSOCKETS) as url:
        return await replay(
            directory,
            url=url,
            account=ACCOUNT,
            simulated_twilio=simulated_twilio,
            public_url=PUBLIC_URL,
            live_pace=16,
            deadline_s=60,
            **options,
        )


def write_answered_call(folder: Path, recording: bytes, expected: Mapping[str, JsonValue], **reported: str) -> None:
    write_call(folder, expected, media=recording)
    identity = [["CallSid", "{call_sid}"], ["AccountSid", "{account_sid}"]]
    reported_form = [*identity, ["RecordingSid", "{recording_sid}"], *map(list, reported.items())]
    statuses = [[*identity, ["CallStatus", status]] for status in ("ringing", "in-progress", "completed")]
    callbacks = [{"path": "/twilio/status", "form": form} for form in statuses]
    lines = [*callbacks, {"path": "/twilio/recording", "form": reported_form}]
    (folder / "callbacks.jsonl").write_text("\n".join(map(json.dumps, lines)))


def wav_file(*channels: int, rate_hz: int = 8000) -> bytes:
    """One second of audio with a constant level on each channel."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(np.tile(np.array(channels, dtype="<i2"), rate_hz).tobytes())
    return out.getvalue()


@pytest.mark.anyio
async def test_an_answered_call_is_streamed_before_it_ends_and_its_recording_follows(
    tmp_path: Path,
    simulated_twilio: SimulatedTwilio,
    capsys: pytest.CaptureFixture[str],
) -> None:
    dual = wav_file(0, 8031)
    write_answered_call(tmp_path / "1-dual", dual, STREAMED, RecordingSource="DialVerb")
    service = LiveService(simulated_twilio.url)
    (outcome,) = await run(tmp_path, service, simulated_twilio, settle_s=0.0)
    assert outcome.matched
    assert [each["state"] for each in outcome.got["recordings"]] == ["done"], (  # type: ignore[union-attr,call-overload,index]
        "the replay must wait for the recording after a live verdict"
    )
    assert service.seen == ["ringing", "in-progress", "verdict", "completed", "recording"]
    (start,) = service.started
    assert (start["callSid"], start["customParameters"]) == (outcome.call_sid, {"key": "of this call"})
    assert len(set(service.heard)) == 1, "only the called party is streamed: its channel has a constant level"
    assert outcome.stream is not None
    assert outcome.since_stream_s == outcome.stream.seconds > 0
    assert 0.5 <= outcome.stream.audio_s <= 1
    print_outcomes([outcome], live_pace=16, as_json=True)
    print_outcomes([outcome], live_pace=16, as_json=False)
    line, *table = capsys.readouterr().out.splitlines()
    assert json.loads(line)["live"]["source"] == "stream"
    assert f"{outcome.since_stream_s:.2f} s" in " ".join(table)


@pytest.mark.anyio
async def test_a_call_stays_in_progress_until_its_action_is_done(
    tmp_path: Path, simulated_twilio: SimulatedTwilio
) -> None:
    write_answered_call(tmp_path / "1-human", wav_file(800), STREAMED, RecordingTrack="inbound")
    service = LiveService(simulated_twilio.url, rest=simulated_twilio.rest)
    await run(tmp_path, service, simulated_twilio)
    assert service.seen[2:5] == ["verdict", "acted upon in-progress", "completed"]
    assert simulated_twilio.rest.calls == {}


@pytest.mark.anyio
async def test_a_mix_of_both_parties_is_not_streamed(tmp_path: Path, simulated_twilio: SimulatedTwilio) -> None:
    write_answered_call(tmp_path / "1-mono", wav_file(800), STREAMED, RecordingTrack="both")
    service = LiveService(simulated_twilio.url)
    (outcome,) = await run(tmp_path, service, simulated_twilio)
    assert (outcome.matched, outcome.stream, outcome.since_stream_s) == (True, None, None)
    assert "verdict" not in service.seen


@pytest.mark.anyio
async def test_a_service_without_live_calls_is_reported_with_the_setting(
    tmp_path: Path, simulated_twilio: SimulatedTwilio
) -> None:
    write_answered_call(tmp_path / "1-human", wav_file(800), STREAMED, RecordingTrack="inbound")
    service = LiveService(simulated_twilio.url, has_live_streams=False)
    with pytest.raises(ConfigurationError, match="AMD_LIVE=true"):
        await run(tmp_path, service, simulated_twilio)
    assert service.seen == []


@pytest.mark.anyio
async def test_a_rejected_stream_is_reported_in_the_note(tmp_path: Path, simulated_twilio: SimulatedTwilio) -> None:
    write_answered_call(tmp_path / "1-human", wav_file(800), STREAMED, RecordingTrack="inbound")
    (outcome,) = await run(tmp_path, LiveService(simulated_twilio.url, accepts_streams=False), simulated_twilio)
    assert not outcome.matched
    assert outcome.note is not None
    assert "AMD_LIVE_STREAMS" in outcome.note


@pytest.mark.parametrize(
    ("folder", "channel"),
    [("14-dual-callee-on-channel-1", 0), ("15-dual-callee-on-channel-2", 1), ("17-mp3", 0), ("19-truncated", 0)],
)
def test_the_called_partys_channel_is_streamed(folder: str, channel: int) -> None:
    (call,) = (call for call in load_calls(FIXTURES) if call.name == folder)
    audio = called_party_audio(call, ACCOUNT)
    assert audio is not None
    assert call.recording is not None
    streamed = decode(audio, content_type="audio/x-mulaw;rate=8000").samples[0]
    recorded = decode(call.recording).samples[channel]
    assert len(streamed) == len(recorded)
    assert float(np.abs(streamed - recorded).max()) < 0.02  # a quantisation step of μ-law at high levels


@pytest.mark.parametrize("folder", ["16-mono-of-both-parties", "20-xml-instead-of-audio", "25-recording-absent"])
def test_a_call_without_separate_called_party_audio_is_not_streamed(folder: str) -> None:
    (call,) = (call for call in load_calls(FIXTURES) if call.name == folder)
    assert called_party_audio(call, ACCOUNT) is None


def test_audio_of_another_rate_is_streamed_at_8_khz(tmp_path: Path) -> None:
    write_answered_call(tmp_path / "1-wide", wav_file(800, rate_hz=16_000), STREAMED, RecordingTrack="inbound")
    (call,) = load_calls(tmp_path)
    audio = called_party_audio(call, ACCOUNT)
    assert audio is not None
    assert len(audio) == 8000


def test_times_become_current_and_equal_times_stay_equal() -> None:
    then = "Mon, 09 Mar 2026 14:30:09 +0000"
    callback = RecordedCallback(path="/", form=[("Timestamp", then), ("CallSid", then), ("RecordingStartTime", then)])
    said: dict[str, str] = {}
    (_, timestamp), (_, call_sid), (_, began) = with_current_times(callback, said).form
    assert timestamp == began == said[then] != then
    assert call_sid == then
    said[then] = "earlier"
    assert with_current_times(callback, said).form[0] == ("Timestamp", "earlier")


@pytest.mark.parametrize("twiml", ["<Response/>", "nothing", "<Response><Start><Stream/></Start></Response>"])
def test_twiml_without_a_stream_is_reported(twiml: str) -> None:
    with pytest.raises(ConfigurationError, match="starts no <Stream>"):
        read_stream(twiml)
