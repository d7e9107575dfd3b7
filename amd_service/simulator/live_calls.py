"""Recorded calls as live ones: while a call is up, its called party is streamed to the service, as Twilio would."""

import audioop
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import format_datetime
from secrets import token_hex
from time import perf_counter
from xml.etree import ElementTree

import httpx2
import numpy as np
import soxr
from websockets.exceptions import WebSocketException

from amd_service.detection.audio.channels import called_party
from amd_service.detection.audio.decode import decode
from amd_service.domain import CallStatus, Waveform
from amd_service.errors import ConfigurationError, Undecodable
from amd_service.operations.judge_recording import is_one_sided
from amd_service.settings import Account
from amd_service.simulator.recorded_calls import RecordedCall, RecordedCallback
from amd_service.simulator.twilio.resources import SimulatedCall, now
from amd_service.simulator.twilio.rest_api import RestApi
from amd_service.simulator.twilio.signed_callbacks import Pairs, sign
from amd_service.simulator.twilio.streams import FRAME_MS, MediaStream, StreamResult, send_stream
from amd_service.twilio.stream_keys import stream_url

STREAM_XML_PATH = "/twilio/stream.xml"
RATE_HZ = 8000
# No verdict needs more; Twilio would go on for as long as the call.
LONGEST_S = 60.0
_DONE = 1000
_MOMENTS = ("Timestamp", "RecordingStartTime")


@dataclass(frozen=True, slots=True)
class StreamedCall:
    """How a call's stream fared. `began`: by perf_counter. `seconds`: from there until the service closed it.

    `audio_s`: how much of the call was sent by then. `note`: what went wrong, None for a stream that was heard out.
    """

    began: float
    seconds: float = 0.0
    audio_s: float = 0.0
    note: str | None = None


@dataclass(frozen=True, slots=True)
class LiveStreamer:
    """Twilio's way to the service while a call is up. `url`: where it answers; `public_url`: what Twilio was given.

    `pace`: how many times faster than real time streams run. `rest`: knows the calls that are up.
    """

    client: httpx2.AsyncClient
    url: str
    public_url: str
    account: Account
    pace: float
    rest: RestApi

    async def require_live_enabled(self) -> None:
        """Raise ConfigurationError unless the service gives the TwiML of a call that is to be listened to."""
        answer = await self._ask(f"CA{token_hex(16)}")
        if answer.status_code != 200:
            raise ConfigurationError(_refused(answer))
        read_stream(answer.text)

    @contextmanager
    def up(self, call_sid: str) -> Iterator[None]:
        """While this lasts the call is in progress at Twilio, and may be hung up or redirected."""
        account_sid = self.account.account_sid
        self.rest.add(
            SimulatedCall(account_sid=account_sid, sid=call_sid, status=CallStatus.IN_PROGRESS, started_at=now())
        )
        try:
            yield
        finally:
            del self.rest.calls[call_sid]

    async def stream(self, call: RecordedCall, call_sid: str) -> StreamedCall | None:
        """Stream the call until the service closes, or the audio ends; None where there is nothing to stream."""
        audio = called_party_audio(call, self.account)
        if audio is None:
            return None
        began = perf_counter()
        answer = await self._ask(call_sid)
        if answer.status_code != 200:
            return StreamedCall(began, note=_refused(answer))
        signed_url, parameters = read_stream(answer.text)
        stream = MediaStream(self.account.account_sid, audio, call_sid, pace=self.pace, parameters=parameters)
        try:
            played = await send_stream(self._reached(signed_url), stream, token=self._token, signed_url=signed_url)
        except (OSError, WebSocketException) as error:
            return StreamedCall(began, note=f"no stream to {signed_url}: {error or type(error).__name__}")
        return StreamedCall(began, perf_counter() - began, played.sent * FRAME_MS / 1000, _what_went_wrong(played))

    @property
    def _token(self) -> str:
        return self.account.auth_tokens[0].get_secret_value()

    async def _ask(self, call_sid: str) -> httpx2.Response:
        """The TwiML of a call that was answered, asked for as Twilio does."""
        form: Pairs = [
            ("AccountSid", self.account.account_sid),
            ("ApiVersion", "2010-04-01"),
            ("CallSid", call_sid),
            ("CallStatus", CallStatus.IN_PROGRESS),
            ("Direction", "outbound-api"),
        ]
        headers = sign(self.public_url + STREAM_XML_PATH, form, self._token)
        return await self.client.post(self.url + STREAM_XML_PATH, data=dict(form), headers=headers)

    def _reached(self, signed_url: str) -> str:
        """Where to connect to for a URL that Twilio was given."""
        public, own = stream_url(self.public_url, ""), stream_url(self.url, "")
        return own + signed_url.removeprefix(public) if signed_url.startswith(public) else signed_url


def with_current_times(callback: RecordedCallback, said: dict[str, str]) -> RecordedCallback:
    """The callback with the present in place of the moments it names; `said`: what each became so far in this call.

    `call_log.answer_to_verdict_ms` would otherwise count from the day the call was recorded.
    """
    present = format_datetime(now())
    form = [
        (name, said.setdefault(value, present) if name in _MOMENTS and value else value)
        for name, value in callback.form
    ]
    return callback.model_copy(update={"form": form})


def read_stream(twiml: str) -> tuple[str, dict[str, str]]:
    """URL and parameters of the `<Stream>` that TwiML starts. Raises ConfigurationError where there is none."""
    try:
        stream = ElementTree.fromstring(twiml).find("./Start/Stream")  # noqa: S314 - the service's own answer
    except ElementTree.ParseError:
        stream = None
    if stream is None or "url" not in stream.attrib:
        raise ConfigurationError(
            f"{STREAM_XML_PATH} starts no <Stream>: start the service with AMD_LIVE=true. It answered {twiml[:200]!r}"
        )
    parameters = {each.attrib["name"]: each.attrib["value"] for each in stream.findall("Parameter")}
    return stream.attrib["url"], parameters


def called_party_audio(call: RecordedCall, account: Account) -> bytes | None:
    """The called party's audio, μ-law at 8 kHz, by the channel that the service judges.

    None where there is no recording, no audio in it, or both parties on one channel, which nobody can take apart.
    """
    reported = _reported(call)
    if call.recording is None or reported is None:
        return None
    try:
        tracks = decode(call.recording, content_type=call.content_type, max_s=LONGEST_S)
    except Undecodable:
        return None
    channel = account.called_party_channel(reported.source)
    party = called_party(tracks, channel=channel, one_sided=is_one_sided(reported))
    return None if party.mixed else _as_mulaw(party.waveform)


@dataclass(frozen=True, slots=True)
class _Reported:
    """What Twilio says of the call's recording."""

    source: str | None
    track: str | None


def _reported(call: RecordedCall) -> _Reported | None:
    forms = [dict(callback.form) for callback in call.callbacks if callback.path == "/twilio/recording"]
    return _Reported(forms[0].get("RecordingSource"), forms[0].get("RecordingTrack")) if forms else None


def _as_mulaw(waveform: Waveform) -> bytes:
    samples = waveform.samples
    if waveform.rate_hz != RATE_HZ:
        samples = soxr.resample(samples, waveform.rate_hz, RATE_HZ)
    linear = np.clip(np.round(samples * 32768), -32768, 32767).astype("<i2").tobytes()
    return bytes(audioop.lin2ulaw(linear, 2))


def _what_went_wrong(played: StreamResult) -> str | None:
    if played.refused is not None:
        return f"the stream was refused ({played.refused}): are more than AMD_LIVE_STREAMS listened to?"
    if played.close_code != _DONE:
        return f"the service closed the stream with {played.close_code}; its log says why"
    return None


def _refused(answer: httpx2.Response) -> str:
    hint = "; are TWILIO_AUTH_TOKEN and --public-url the service's?" if answer.status_code == 403 else ""
    return f"POST {STREAM_XML_PATH} was answered {answer.status_code}{hint}"
