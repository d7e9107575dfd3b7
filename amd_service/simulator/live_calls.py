"""Streams recorded calls live: sends the called party's audio while the call is in progress, as Twilio does."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import format_datetime
from secrets import token_hex
from time import perf_counter
from xml.etree import ElementTree

import httpx2
from pydantic import JsonValue
from websockets.exceptions import WebSocketException

from amd_service.domain import CallStatus, Source
from amd_service.errors import ConfigurationError
from amd_service.settings import Account
from amd_service.simulator.called_party_audio import called_party_audio
from amd_service.simulator.recorded_calls import RecordedCall, RecordedCallback
from amd_service.simulator.twilio.resources import SimulatedCall, now
from amd_service.simulator.twilio.rest_api import RestApi
from amd_service.simulator.twilio.signed_callbacks import Pairs, sign
from amd_service.simulator.twilio.streams import FRAME_MS, MediaStream, StreamResult, send_stream
from amd_service.twilio.stream_keys import stream_url

STREAM_XML_PATH = "/twilio/stream.xml"
_NORMAL_CLOSURE = 1000
_TIME_FIELDS = ("Timestamp", "RecordingStartTime")


@dataclass(frozen=True, slots=True)
class StreamedCall:
    """How a call was streamed. `began`: start of the stream by perf_counter.

    `seconds`: from the start until the service closed the stream. `audio_s`: seconds of audio sent before the close.
    `note`: the failure; None if the service closed the stream normally.
    """

    began: float
    seconds: float = 0.0
    audio_s: float = 0.0
    note: str | None = None

    def seconds_to_verdict(self, row: Mapping[str, JsonValue], ended: float) -> float | None:
        """Return the seconds from the start of the stream to the verdict in the call's row; None without a verdict.

        `ended`: time by perf_counter at which the row was read, used for a verdict from the recording.
        """
        if row.get("label") is None:
            return None
        return self.seconds if row.get("verdict_source") == Source.STREAM else ended - self.began


@dataclass(frozen=True, slots=True)
class LiveStreamer:
    """Streams calls to the service at `url`. `public_url`: the base URL to sign.

    `pace`: how many times faster than real time. `rest`: the REST API that lists the calls in progress.
    """

    client: httpx2.AsyncClient
    url: str
    public_url: str
    account: Account
    pace: float
    rest: RestApi

    async def require_live_enabled(self) -> None:
        """Raise ConfigurationError unless the service's TwiML for an answered call starts a stream."""
        response = await self._fetch_twiml(f"CA{token_hex(16)}")
        if response.status_code != 200:
            raise ConfigurationError(_explain_rejection(response))
        read_stream(response.text)

    @contextmanager
    def call_in_progress(self, call_sid: str) -> Iterator[None]:
        """List the call as in progress in the simulated REST API, so that the service can hang up or redirect it."""
        account_sid = self.account.account_sid
        self.rest.add(
            SimulatedCall(account_sid=account_sid, sid=call_sid, status=CallStatus.IN_PROGRESS, started_at=now())
        )
        try:
            yield
        finally:
            del self.rest.calls[call_sid]

    async def stream(self, call: RecordedCall, call_sid: str) -> StreamedCall | None:
        """Stream the call until the service closes the stream or the audio ends. Returns None without audio."""
        audio = called_party_audio(call, self.account)
        if audio is None:
            return None
        began = perf_counter()
        response = await self._fetch_twiml(call_sid)
        if response.status_code != 200:
            return StreamedCall(began, note=_explain_rejection(response))
        signed_url, parameters = read_stream(response.text)
        # The TwiML contains the public URL of the service. The connection uses `self.url`, which this process can
        # reach.
        public, own = stream_url(self.public_url, ""), stream_url(self.url, "")
        url = own + signed_url.removeprefix(public) if signed_url.startswith(public) else signed_url
        stream = MediaStream(self.account.account_sid, audio, call_sid, pace=self.pace, parameters=parameters)
        try:
            result = await send_stream(url, stream, token=self._token, signed_url=signed_url)
        except (OSError, WebSocketException) as error:
            return StreamedCall(began, note=f"no stream to {signed_url}: {error or type(error).__name__}")
        return StreamedCall(began, perf_counter() - began, result.sent * FRAME_MS / 1000, _explain_failure(result))

    @property
    def _token(self) -> str:
        return self.account.auth_tokens[0].get_secret_value()

    async def _fetch_twiml(self, call_sid: str) -> httpx2.Response:
        """Request the TwiML of an answered call as Twilio does."""
        form: Pairs = [
            ("AccountSid", self.account.account_sid),
            ("ApiVersion", "2010-04-01"),
            ("CallSid", call_sid),
            ("CallStatus", CallStatus.IN_PROGRESS),
            ("Direction", "outbound-api"),
        ]
        headers = sign(self.public_url + STREAM_XML_PATH, form, self._token)
        return await self.client.post(self.url + STREAM_XML_PATH, data=dict(form), headers=headers)


def with_current_times(callback: RecordedCallback, replaced: dict[str, str]) -> RecordedCallback:
    """Replace the times in a callback by the current time.

    Without the replacement, `call_log.answer_to_verdict_ms` would count from the day of the recording. `replaced`: all
    replacements in this call's callbacks by original time. The function adds new replacements to `replaced`, so equal
    times stay equal.
    """
    current = format_datetime(now())
    form = [
        (name, replaced.setdefault(value, current) if name in _TIME_FIELDS and value else value)
        for name, value in callback.form
    ]
    return callback.model_copy(update={"form": form})


def read_stream(twiml: str) -> tuple[str, dict[str, str]]:
    """Return the URL and the parameters of the `<Stream>` that the TwiML starts.

    Raises ConfigurationError if the TwiML has no `<Stream>`.
    """
    stream = find_stream(twiml)
    if stream is None:
        raise ConfigurationError(
            f"{STREAM_XML_PATH} starts no <Stream>: start the service with AMD_LIVE=true. The response was "
            f"{twiml[:200]!r}"
        )
    return stream


def find_stream(twiml: str) -> tuple[str, dict[str, str]] | None:
    """Return the URL and the parameters of the `<Stream>` that the TwiML starts; None if it starts none."""
    try:
        stream = ElementTree.fromstring(twiml).find("./Start/Stream")  # noqa: S314 - the user's own TwiML
    except ElementTree.ParseError:
        return None
    if stream is None or "url" not in stream.attrib:
        return None
    return stream.attrib["url"], {each.get("name", ""): each.get("value", "") for each in stream.findall("Parameter")}


def _explain_failure(result: StreamResult) -> str | None:
    if result.refused is not None:
        return f"the service rejected the stream ({result.refused}): raise AMD_LIVE_STREAMS if all streams are in use"
    if result.close_code != _NORMAL_CLOSURE:
        return f"the service closed the stream with code {result.close_code}: see the log of the service"
    return None


def _explain_rejection(response: httpx2.Response) -> str:
    hint = (
        "; check that TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and --public-url match the service"
        if response.status_code == 403
        else ""
    )
    return f"POST {STREAM_XML_PATH} failed with {response.status_code}{hint}"
